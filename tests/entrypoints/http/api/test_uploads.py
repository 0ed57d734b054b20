"""Both batch uploads over HTTP: what is stored, what is returned, and how each run is judged."""

from typing import Any

import pytest

from tests.servers import Api, MakeRun, Start

both = pytest.mark.parametrize("endpoint", ["batch", "batch-transactional"])


@both
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_valid_batch_is_stored_whole(server: Api, make_run: MakeRun, endpoint: str, size: int) -> None:
    """A batch of 1 to 1000 valid runs gets 201 with every run in the order sent, and all are stored."""
    sent = [make_run() for _ in range(size)]
    answer = server.upload(endpoint, sent)
    assert (answer.status, answer.counts) == (201, (size, size, 0, 0))
    assert answer.event_ids == [run["event_id"] for run in sent]
    assert (answer.body["errors"], answer.body["conflicts"]) == ([], [])
    assert server.find().body["total"] == size


@both
def test_answer_has_the_documented_members(shared_server: Api, make_run: MakeRun, endpoint: str) -> None:
    """The response has exactly the members that the contract names."""
    answer = shared_server.upload(endpoint, [make_run()])
    assert answer.body.keys() == {"runs", "total", "created", "existing", "failed", "errors", "conflicts"}


@both
def test_too_many_runs_are_refused(server: Api, make_run: MakeRun, endpoint: str) -> None:
    """A batch of 1001 runs gets 400 with both numbers, and nothing is stored."""
    answer = server.upload(endpoint, [make_run() for _ in range(1001)])
    assert answer.status == 400
    assert answer.body["detail"] == "Batch size 1001 exceeds maximum limit of 1000 runs"
    assert server.find().body["total"] == 0


@both
def test_empty_batch_is_refused(shared_server: Api, endpoint: str) -> None:
    """A batch of no runs gets 422 at body.runs and says that at least 1 is needed."""
    answer = shared_server.upload(endpoint, [])
    assert (answer.status, answer.locations) == (422, [["body", "runs"]])
    assert "at least 1" in answer.body["detail"][0]["msg"]


@both
def test_same_batch_again_is_existing(shared_server: Api, make_run: MakeRun, endpoint: str) -> None:
    """Sending a batch twice creates nothing the second time and returns the runs as stored."""
    sent = [make_run(metrics_json={"b": 1, "a": 2}, unknown=[1]) for _ in range(3)]
    first, second = (shared_server.upload(endpoint, sent) for _ in range(2))
    assert (second.status, second.counts) == (201, (3, 0, 3, 0))
    assert second.body["runs"] == first.body["runs"]
    assert second.body["conflicts"] == []


@both
def test_new_and_existing_runs_mix_in_order(shared_server: Api, make_run: MakeRun, endpoint: str) -> None:
    """New and existing runs of one batch are counted separately and returned in the order sent."""
    old, *new = (make_run() for _ in range(3))
    shared_server.create(old)
    answer = shared_server.upload(endpoint, [new[0], old, new[1]])
    assert (answer.status, answer.counts) == (201, (3, 2, 1, 0))
    assert answer.event_ids == [new[0]["event_id"], old["event_id"], new[1]["event_id"]]


@both
def test_duplicate_in_a_batch_is_existing(shared_server: Api, make_run: MakeRun, endpoint: str) -> None:
    """The same run twice in one batch is created once and existing once, and appears twice in the response."""
    run = make_run()
    answer = shared_server.upload(endpoint, [run, make_run(), run])
    assert (answer.status, answer.counts) == (201, (3, 2, 1, 0))
    assert answer.body["runs"][2] == answer.body["runs"][0]
    assert answer.body["conflicts"] == []
    assert shared_server.find(event_id=run["event_id"]).body["total"] == 1


@both
def test_first_of_differing_duplicates_wins(shared_server: Api, make_run: MakeRun, endpoint: str) -> None:
    """Of two runs with one key in one batch, the first is stored and the second is existing and a conflict."""
    first = make_run(agent_name="first")
    answer = shared_server.upload(endpoint, [first, {**first, "agent_name": "second", "run_id": "other"}])
    assert (answer.status, answer.counts) == (201, (2, 1, 1, 0))
    assert [run["agent_name"] for run in answer.body["runs"]] == ["first", "first"]
    assert answer.body["conflicts"] == [
        {"index": 1, "event_id": first["event_id"], "fields": ["run_id", "agent_name"]},
    ]


@both
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("run_id", "other"),
        ("agent_name", "other"),
        ("job_type", "other"),
        ("start_time", "2026-01-31T12:00:00.000001Z"),
        ("parent_run_id", "other"),
        ("product", "other"),
        ("product_family", "other"),
        ("platform", "other"),
        ("subdomain", "other"),
        ("website", "other"),
        ("website_section", "other"),
        ("item_name", "other"),
        ("git_repo", "other"),
        ("git_branch", "other"),
        ("extra", {"other": 1}),
    ],
)
def test_differing_fixed_field_is_a_conflict(
    shared_server: Api, make_run: MakeRun, endpoint: str, field: str, value: Any
) -> None:
    """A stored key with another value in an immutable field is existing, and a conflict naming the field."""
    stored = shared_server.create(make_run()).body
    sent = make_run(event_id=stored["event_id"]) | {field: value}
    answer = shared_server.upload(endpoint, [make_run(), sent])
    assert (answer.status, answer.counts) == (201, (2, 1, 1, 0))
    assert answer.body["conflicts"] == [{"index": 1, "event_id": stored["event_id"], "fields": [field]}]
    assert answer.body["runs"][1] == stored


@both
def test_resent_after_changes_is_no_conflict(shared_server: Api, make_run: MakeRun, endpoint: str) -> None:
    """A run that was patched and given a commit, sent again as at first, is existing without a conflict."""
    run = make_run(status="running", metrics_json={"n": 1}, duration_ms=1, commit_author="first")
    shared_server.create(run)
    shared_server.patch(run["event_id"], {"status": "failure", "metrics_json": None, "duration_ms": 2})
    changed = shared_server.commit(run["event_id"], {"commit_hash": "abcdef0", "commit_source": "ci"}).body
    answer = shared_server.upload(endpoint, [run])
    assert (answer.status, answer.counts) == (201, (1, 0, 1, 0))
    assert (answer.body["runs"], answer.body["conflicts"]) == ([changed], [])


@both
def test_equal_values_in_another_spelling_are_no_conflict(shared_server: Api, make_run: MakeRun, endpoint: str) -> None:
    """The same instant with another offset, or the same object with reordered keys, is not a conflict."""
    run = make_run(start_time="2026-01-31T12:00:00Z", extra={"a": 1, "b": {"c": 1, "d": 2}})
    other = run | {"start_time": "2026-01-31T14:00:00.000+02:00", "extra": {"b": {"d": 2, "c": 1}, "a": 1}}
    answer = shared_server.upload(endpoint, [run, other])
    assert (answer.counts, answer.body["conflicts"]) == ((2, 1, 1, 0), [])


@both
def test_child_may_come_before_its_parent(shared_server: Api, make_run: MakeRun, endpoint: str) -> None:
    """A parent and its children in one batch are stored in any order, and the parent's children are found."""
    parent = make_run(run_id=f"parent-{endpoint}")
    children = [make_run(run_id=f"child-{number}", parent_run_id=parent["run_id"]) for number in range(2)]
    answer = shared_server.upload(endpoint, [children[0], parent, children[1]])
    assert (answer.status, answer.counts) == (201, (3, 3, 0, 0))
    assert sorted(shared_server.find(parent_run_id=parent["run_id"]).event_ids) == sorted(
        child["event_id"] for child in children
    )


def test_lenient_stores_the_good_and_names_the_bad(shared_server: Api, make_run: MakeRun) -> None:
    """An invalid run among valid ones gets 500; the valid ones are stored in order, the invalid one is named."""
    good, bad = [make_run(), make_run()], make_run(run_id="bad")
    del bad["agent_name"]
    answer = shared_server.lenient([good[0], bad, good[1]])
    assert (answer.status, answer.counts) == (500, (3, 2, 0, 1))
    assert answer.event_ids == [run["event_id"] for run in good]
    assert answer.body["errors"] == [
        {
            "index": 1,
            "event_id": bad["event_id"],
            "run_id": "bad",
            "field": "agent_name",
            "error": "agent_name is required",
            "retryable": False,
        }
    ]
    assert "detail" not in answer.body
    assert [shared_server.find(event_id=run["event_id"]).body["total"] for run in (*good, bad)] == [1, 1, 0]


def test_lenient_counts_every_kind_at_once(shared_server: Api, make_run: MakeRun) -> None:
    """One batch with new, existing, conflicting and invalid runs: total is their sum, and each index is as sent."""
    old = make_run()
    shared_server.create(old)
    batch = [make_run(status="lost"), make_run(), old, {**old, "product": "x"}, make_run(duration_ms=-1)]
    answer = shared_server.lenient(batch)
    assert (answer.status, answer.counts) == (500, (5, 1, 2, 2))
    assert answer.bad_fields == {(0, "status"), (4, "duration_ms")}
    assert [(conflict["index"], conflict["fields"]) for conflict in answer.body["conflicts"]] == [(3, ["product"])]


def test_partial_status_is_an_option(start: Start, make_run: MakeRun) -> None:
    """With partial-status 207, a lenient batch with an invalid run gets 207 and the same body; all valid stays 201."""
    with start(partial_status=207) as server:
        answer = server.lenient([make_run(), make_run(status="lost")])
        assert (answer.status, answer.counts) == (207, (2, 1, 0, 1))
        assert answer.bad_fields == {(1, "status")}
        assert server.lenient([make_run()]).status == 201
        assert server.lenient([make_run(status="lost")]).status == 422
        assert server.atomic([make_run(), make_run(status="lost")]).status == 400


@pytest.mark.parametrize("size", [1, 3])
def test_lenient_with_every_run_bad_is_422(shared_server: Api, make_run: MakeRun, size: int) -> None:
    """With no valid run: 422 with the location of every error, and the counts and errors of the usual response."""
    bad = [make_run() for _ in range(size)]
    for run in bad:
        del run["agent_name"]
    answer = shared_server.lenient(bad)
    assert (answer.status, answer.counts) == (422, (size, 0, 0, size))
    assert answer.locations == [["body", "runs", index, "agent_name"] for index in range(size)]
    assert answer.body["detail"][0]["msg"] == "agent_name is required"
    assert answer.body["detail"][0]["type"] == "missing"
    assert answer.bad_fields == {(index, "agent_name") for index in range(size)}
    assert (answer.body["runs"], answer.body["conflicts"]) == ([], [])
    assert shared_server.find(event_id=bad[0]["event_id"]).body["total"] == 0


@pytest.mark.parametrize("good", [0, 2])
def test_atomic_with_a_bad_run_stores_nothing(shared_server: Api, make_run: MakeRun, good: int) -> None:
    """An invalid run, alone or among valid ones, rolls the batch back: 400, everything failed, nothing stored."""
    runs = [make_run() for _ in range(good + 1)]
    del runs[-1]["agent_name"]
    answer = shared_server.atomic(runs)
    assert (answer.status, answer.counts) == (400, (good + 1, 0, 0, good + 1))
    assert answer.body["detail"].startswith("Batch transaction failed (rolled back): ")
    assert "agent_name is required" in answer.body["detail"]
    assert answer.bad_fields == {(good, "agent_name")}
    assert (answer.body["runs"], answer.body["conflicts"]) == ([], [])
    assert [shared_server.find(event_id=run["event_id"]).body["total"] for run in runs] == [0] * (good + 1)


def test_atomic_names_every_bad_run(server: Api, make_run: MakeRun) -> None:
    """Every invalid run of an atomic batch is named with its IDs, not only the first; valid ones are not."""
    runs = [make_run(), make_run(duration_ms="12"), make_run(), make_run(status="lost"), {"event_id": "e", "run_id": 1}]
    answer = server.atomic(runs)
    assert (answer.status, answer.counts) == (400, (5, 0, 0, 5))
    assert {error["index"] for error in answer.body["errors"]} == {1, 3, 4}
    ids = {error["index"]: (error["event_id"], error["run_id"]) for error in answer.body["errors"]}
    assert ids[1] == (runs[1]["event_id"], runs[1]["run_id"])
    assert ids[4] == ("e", None)
    assert server.find().body["total"] == 0


def test_atomic_rollback_leaves_stored_runs_alone(shared_server: Api, make_run: MakeRun) -> None:
    """A rolled back batch does not change an existing run that it contains."""
    old = make_run()
    stored = shared_server.create(old).body
    answer = shared_server.atomic([old, make_run(status="lost")])
    assert (answer.status, answer.counts) == (400, (2, 0, 0, 2))
    assert shared_server.stored(old["event_id"]) == stored


@both
def test_every_fault_of_a_run_is_named(shared_server: Api, make_run: MakeRun, endpoint: str) -> None:
    """A run with several invalid fields has one error for each, under its index, and none is retryable."""
    bad = make_run(status="lost", duration_ms=1.5, website=3, metrics_json=[])
    del bad["job_type"]
    answer = shared_server.upload(endpoint, [make_run(), bad])
    expected = {"status", "duration_ms", "website", "metrics_json", "job_type"}
    assert answer.bad_fields == {(1, field) for field in expected}
    assert all(error["error"].startswith(f"{error['field']} ") for error in answer.body["errors"])
    assert not any(error["retryable"] for error in answer.body["errors"])


@both
@pytest.mark.parametrize("item", [1, "run", None, [], True, 1.5])
def test_item_that_is_no_object_is_one_bad_run(
    shared_server: Api, make_run: MakeRun, endpoint: str, item: object
) -> None:
    """A batch member that is not an object fails alone: without IDs and without a field."""
    answer = shared_server.upload(endpoint, [make_run(), item])
    assert answer.status == {"batch": 500, "batch-transactional": 400}[endpoint]
    (error,) = answer.body["errors"]
    assert (error["index"], error["event_id"], error["run_id"], error["field"]) == (1, None, None, None)
    assert "must be a JSON object" in error["error"]
