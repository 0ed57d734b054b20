"""Single runs over HTTP: create, read, change, associate a commit; and how every path responds."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.servers import Api, MakeRun

CHANGES: dict[str, Any] = {
    "status": "timeout",
    "end_time": "2026-01-31T13:00:00Z",
    "duration_ms": 3_600_000,
    "items_discovered": 4,
    "items_succeeded": 3,
    "items_failed": 2,
    "items_skipped": 1,
    "input_summary": "in",
    "output_summary": "out",
    "error_summary": "short",
    "error_details": "long",
    "metrics_json": {"n": 1},
    "context_json": {"host": {"name": "h"}},
}
UNUSUAL_IDS = [
    "a/b",
    "/",
    "a//b",
    "a b",
    " ",
    "?",
    "a?b=c",
    "#",
    "%",
    "%2F",
    "%zz",
    "+",
    "&=;",
    ".",
    "..",
    "../..",
    "{}",
    "{id}",
    "\\",
    '"',
    "\n",
    "\x7f",
    "Grüße",
    "e\u0301",
    "運行",
    "🏃",
    "batch",
    "x" * 255,
    pytest.param("🏃" * 255, id="255 runners"),
]


def test_create_answers_with_the_stored_run(shared_server: Api, make_run: MakeRun) -> None:
    """A new run gets 201 with the run, which the list then shows unchanged."""
    run = make_run()
    answer = shared_server.create(run)
    assert answer.status == 201
    assert run.items() <= answer.body.items()
    assert shared_server.stored(run["event_id"]) == answer.body


def test_create_again_answers_with_the_first(shared_server: Api, make_run: MakeRun) -> None:
    """The same key again gets 201 with the stored run, whatever else was sent."""
    run = make_run()
    first = shared_server.create(run).body
    again = shared_server.create({**run, "agent_name": "other"})
    assert (again.status, again.body) == (201, first)


def test_create_names_every_fault(shared_server: Api, make_run: MakeRun) -> None:
    """An invalid run gets 422 with the location of each error, and is not stored."""
    run = make_run(status="lost", duration_ms="12")
    del run["job_type"]
    answer = shared_server.create(run)
    assert answer.status == 422
    assert sorted(map(str, answer.locations)) == sorted(
        str(["body", field]) for field in ("status", "duration_ms", "job_type")
    )
    assert shared_server.find(event_id=run["event_id"]).body["total"] == 0


@pytest.mark.parametrize("body", [[], "run", 1, None])
def test_create_wants_an_object(shared_server: Api, body: object) -> None:
    """JSON that is not an object gets 422 at the body."""
    answer = shared_server.create(body)
    assert (answer.status, answer.locations) == (422, [["body"]])


def test_get_answers_with_the_newest_of_a_name(shared_server: Api, make_run: MakeRun) -> None:
    """Of several runs of one name, the one that started last is returned, whenever it arrived."""
    name = "several starts"
    starts = ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", "2026-01-01T00:00:00Z"]
    shared_server.lenient([make_run(run_id=name, start_time=start) for start in starts])
    answer = shared_server.get(name)
    assert (answer.status, answer.body["start_time"]) == (200, starts[1])


def test_get_of_equal_starts_answers_with_the_last_arrived(shared_server: Api, make_run: MakeRun) -> None:
    """Among runs of one name and one start, the last arrived is the newest."""
    runs = [make_run(run_id="equal starts") for _ in range(3)]
    shared_server.lenient(runs)
    assert shared_server.get("equal starts").body["event_id"] == runs[-1]["event_id"]


@pytest.mark.parametrize("name", [*UNUSUAL_IDS, pytest.param("🏃" * 500, id="500 runners")])
def test_get_takes_any_name(shared_server: Api, make_run: MakeRun, name: str) -> None:
    """Any run_id is found by its percent-encoded form."""
    run = make_run(run_id=name)
    shared_server.create(run)
    answer = shared_server.get(name)
    assert (answer.status, answer.body.get("event_id")) == (200, run["event_id"])


def test_unknown_run_is_404(shared_server: Api) -> None:
    """An unknown run_id gets 404 that repeats it."""
    answer = shared_server.get("no such run")
    assert (answer.status, answer.body) == (404, {"detail": "Run not found: no such run"})


@pytest.mark.parametrize("event_id", UNUSUAL_IDS)
def test_any_key_works_in_paths(shared_server: Api, make_run: MakeRun, event_id: str) -> None:
    """A run with any key up to 255 characters is patched, given a commit and found by its percent-encoded key."""
    created = shared_server.create(make_run(event_id=event_id))
    assert (created.status, created.body["event_id"]) == (201, event_id)
    patched = shared_server.patch(event_id, {"duration_ms": 7})
    assert (patched.status, patched.body.get("event_id"), patched.body.get("duration_ms")) == (200, event_id, 7)
    tied = shared_server.commit(event_id, {"commit_hash": "abcdef0", "commit_source": "ci"})
    assert (tied.status, tied.body.get("event_id"), tied.body.get("commit_hash")) == (200, event_id, "abcdef0")
    assert shared_server.stored(event_id) == tied.body


@pytest.mark.parametrize(("field", "value"), CHANGES.items())
def test_patch_changes_one_field_and_no_other(shared_server: Api, make_run: MakeRun, field: str, value: Any) -> None:
    """Each mutable field can be set alone; all else but ``updated_at`` stays, and the change is stored."""
    before = shared_server.create(make_run()).body
    answer = shared_server.patch(before["event_id"], {field: value})
    assert answer.status == 200
    assert answer.body == before | {field: value, "updated_at": answer.body["updated_at"]}
    assert answer.body["updated_at"] >= before["updated_at"]
    assert shared_server.stored(before["event_id"]) == answer.body


def test_patch_changes_all_at_once(shared_server: Api, make_run: MakeRun) -> None:
    """One patch may set every mutable field."""
    event_id = shared_server.create(make_run()).body["event_id"]
    assert CHANGES.items() <= shared_server.patch(event_id, CHANGES).body.items()


@pytest.mark.parametrize("field", sorted(CHANGES.keys() - {"status"}))
def test_patch_with_null_clears(shared_server: Api, make_run: MakeRun, field: str) -> None:
    """Null clears a mutable field and leaves the others."""
    event_id = shared_server.create(make_run(**CHANGES)).body["event_id"]
    answer = shared_server.patch(event_id, {field: None})
    assert answer.status == 200
    assert (CHANGES | {field: None}).items() <= answer.body.items()


def test_empty_patch_returns_the_run(shared_server: Api, make_run: MakeRun) -> None:
    """An empty patch gets 200 with the run; not even ``updated_at`` changes."""
    stored = shared_server.create(make_run(**CHANGES)).body
    answer = shared_server.patch(stored["event_id"], {})
    assert (answer.status, answer.body) == (200, stored)


@pytest.mark.parametrize(
    "field",
    [
        *("event_id", "run_id", "agent_name", "job_type", "start_time", "parent_run_id", "product", "product_family"),
        *("platform", "subdomain", "website", "website_section", "item_name", "git_repo", "git_branch", "extra"),
        *("commit_hash", "commit_source", "commit_author", "commit_timestamp", "created_at", "updated_at", "unknown"),
    ],
)
def test_patch_of_a_fixed_or_unknown_field_is_422(shared_server: Api, make_run: MakeRun, field: str) -> None:
    """An immutable field is named in a 422, and the valid part of the patch is not applied either."""
    stored = shared_server.create(make_run()).body
    answer = shared_server.patch(stored["event_id"], {field: stored.get(field), "duration_ms": 5})
    assert (answer.status, answer.locations) == (422, [["body", field]])
    assert shared_server.stored(stored["event_id"]) == stored


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "lost"),
        ("status", None),
        ("end_time", "2026-01-31T13:00:00"),
        ("duration_ms", "12"),
        ("duration_ms", True),
        ("items_failed", -1),
        ("items_skipped", 2**63),
        ("error_details", "a\0b"),
        ("output_summary", "\ud800"),
        ("input_summary", 1),
        ("metrics_json", []),
        ("context_json", {"a": float("nan")}),
    ],
)
def test_patch_obeys_the_field_rules(shared_server: Api, make_run: MakeRun, field: str, value: Any) -> None:
    """A value that is invalid at creation is rejected in a patch, naming the field; the run is unchanged."""
    stored = shared_server.create(make_run()).body
    answer = shared_server.patch(stored["event_id"], {field: value})
    assert (answer.status, answer.locations) == (422, [["body", field]])
    assert shared_server.stored(stored["event_id"]) == stored


@pytest.mark.parametrize("body", [[], None, "x", 1])
def test_patch_wants_an_object(shared_server: Api, make_run: MakeRun, body: object) -> None:
    """A patch that is not an object gets 422."""
    event_id = shared_server.create(make_run()).body["event_id"]
    assert shared_server.patch(event_id, body).status == 422


@pytest.mark.parametrize("body", [b"", b"{", b"\xff"])
def test_patch_that_is_not_json_is_400(shared_server: Api, make_run: MakeRun, body: bytes) -> None:
    """A patch that is not JSON gets 400."""
    event_id = shared_server.create(make_run()).body["event_id"]
    assert shared_server.patch(event_id, body).status == 400


@pytest.mark.parametrize("changes", [{}, {"duration_ms": 1}])
def test_patch_of_an_unknown_run_is_404(shared_server: Api, changes: object) -> None:
    """An unknown key gets 404, also for an empty patch."""
    answer = shared_server.patch("no such run", changes)
    assert (answer.status, answer.body) == (404, {"detail": "Run not found: no such run"})


@pytest.mark.parametrize("commit_hash", ["abcdef0", "ABCDEF0123", "0" * 40])
@pytest.mark.parametrize("commit_source", ["manual", "llm", "ci"])
def test_commit_is_tied_to_the_run(shared_server: Api, make_run: MakeRun, commit_hash: str, commit_source: str) -> None:
    """A commit of 7 to 40 hex digits from any source is stored in the run, and nothing else changes."""
    before = shared_server.create(make_run(**CHANGES)).body
    commit = {"commit_hash": commit_hash, "commit_source": commit_source}
    answer = shared_server.commit(before["event_id"], commit)
    assert answer.status == 200
    assert answer.body == before | commit | {"updated_at": answer.body["updated_at"]}
    assert shared_server.stored(before["event_id"]) == answer.body


def test_commit_takes_author_and_time(shared_server: Api, make_run: MakeRun) -> None:
    """Author and time of a commit are stored, the time in UTC; a later commit replaces the whole earlier one."""
    event_id = shared_server.create(make_run()).body["event_id"]
    commit = {"commit_hash": "abcdef0", "commit_source": "ci"}
    details = {"commit_author": "A. Uthor", "commit_timestamp": "2026-01-31T14:00:00+02:00"}
    tied = shared_server.commit(event_id, commit | details).body
    assert (tied["commit_author"], tied["commit_timestamp"]) == ("A. Uthor", "2026-01-31T12:00:00Z")
    assert shared_server.commit(event_id, commit).body["commit_author"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("commit_hash", "abcdef"),
        ("commit_hash", "a" * 41),
        ("commit_hash", "abcdefg"),
        ("commit_hash", "abcdef\u0661"),
        ("commit_hash", "abcdef0\n"),
        ("commit_hash", 1234567),
        ("commit_hash", None),
        ("commit_source", "robot"),
        ("commit_source", "CI"),
        ("commit_source", None),
        ("commit_author", 1),
        ("commit_author", "a\0b"),
        ("commit_timestamp", "2026-01-31T12:00:00"),
        ("agent_name", "other"),
    ],
)
def test_bad_commit_is_400_naming_the_field(shared_server: Api, make_run: MakeRun, field: str, value: Any) -> None:
    """A commit with an invalid or unknown field gets 400 that names it, and the run is unchanged."""
    stored = shared_server.create(make_run()).body
    answer = shared_server.commit(stored["event_id"], {"commit_hash": "abcdef0", "commit_source": "ci", field: value})
    assert answer.status == 400
    assert answer.body["detail"].startswith(f"{field} ")
    assert shared_server.stored(stored["event_id"]) == stored


@pytest.mark.parametrize("field", ["commit_hash", "commit_source"])
def test_commit_needs_hash_and_source(shared_server: Api, make_run: MakeRun, field: str) -> None:
    """A commit without its hash or its source gets 400 that says which is required."""
    event_id = shared_server.create(make_run()).body["event_id"]
    commit = {"commit_hash": "abcdef0", "commit_source": "ci"}
    del commit[field]
    answer = shared_server.commit(event_id, commit)
    assert (answer.status, answer.body["detail"]) == (400, f"{field} is required")


def test_commit_of_an_unknown_run_is_404(shared_server: Api) -> None:
    """A commit for an unknown key gets 404."""
    answer = shared_server.commit("no such run", {"commit_hash": "abcdef0", "commit_source": "ci"})
    assert (answer.status, answer.body) == (404, {"detail": "Run not found: no such run"})


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/v1/runs/x", {"GET", "PATCH"}),
        ("PUT", "/api/v1/runs", {"GET", "POST"}),
        ("DELETE", "/api/v1/runs/batch", {"POST"}),
        ("GET", "/api/v1/runs/x/associate-commit", {"POST"}),
        ("POST", "/api/v1/metadata", {"GET"}),
        ("POST", "/api/v1/limits", {"GET"}),
        ("POST", "/health", {"GET"}),
        ("POST", "/ready", {"GET"}),
    ],
)
def test_wrong_method_is_405(shared_server: Api, method: str, path: str, allowed: set[str]) -> None:
    """A method that a path does not support gets 405 in JSON, and ``Allow`` lists the supported ones."""
    answer = shared_server.request(method, path)
    assert answer.status == 405
    assert isinstance(answer.body["detail"], str)
    assert allowed <= set(answer.headers["Allow"].replace(" ", "").split(","))


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1", "/api/v2/runs", f"/api/v1/runs/{quote('a')}/b", "/health/"])
def test_unknown_path_is_404(shared_server: Api, path: str) -> None:
    """An unknown path gets 404 in JSON with a detail."""
    answer = shared_server.request("GET", path)
    assert answer.status == 404
    assert isinstance(answer.body["detail"], str)
    assert answer.headers["Content-Type"].startswith("application/json")


def test_unmet_expectation_is_answered_in_json(shared_server: Api) -> None:
    """An unsupported ``Expect`` gets 417 with a detail, as every error does."""
    answer = shared_server.request("POST", "/api/v1/runs", b"{}", {"Expect": "miracles"})
    assert answer.status == 417
    assert isinstance(answer.body["detail"], str)
