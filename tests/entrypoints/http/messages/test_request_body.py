"""Which bodies an upload accepts, how large they may be, and what ``Prefer`` does."""

import asyncio
import json
from collections.abc import Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from entrypoints.http.messages.request_body import Allowance, UnacceptableBodyError, read_body
from entrypoints.http.pressure.admission import AdmissionControl
from entrypoints.http.rejections import Reason
from tests.servers import DEADLINE_SECONDS, Api, MakeRun

BATCH = "/api/v1/runs/batch"
ATOMIC = "/api/v1/runs/batch-transactional"
MAX_BODY_BYTES = 16 * 1024 * 1024

both = pytest.mark.parametrize("path", [BATCH, ATOMIC])
every_upload = pytest.mark.parametrize("path", [BATCH, ATOMIC, "/api/v1/runs"])


@every_upload
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"runs",
        b"{'runs': []}",
        b'{"runs": [}',
        b'{"runs": [{]}',
        b'{"runs": [{}]} trailing',
        b'{"runs": [{"run_id": "\xff"}]}',
        b'\xef\xbb\xbf{"runs": []}',
        b'{"runs": [{"run_id": "a\nb"}]}',
        b'{"runs": [{"duration_ms": 01}]}',
        b'{"runs": [{"duration_ms": .5}]}',
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
def test_body_that_is_not_json_is_400(shared_server: Api, path: str, body: bytes) -> None:
    """A body that is not JSON in UTF-8 gets 400 with a text as detail."""
    answer = shared_server.send("POST", path, body)
    assert answer.status == 400
    assert isinstance(answer.body["detail"], str)


def test_bad_json_inside_one_run_refuses_the_whole_body(server: Api, make_run: MakeRun) -> None:
    """A body that is not JSON has no valid runs: a broken text in the second run stores nothing of the first."""
    body = json.dumps({"runs": [make_run(), make_run(run_id="X")]}).encode().replace(b'"X"', b'"\xff"')
    assert server.send("POST", BATCH, body).status == 400
    assert server.find().body["total"] == 0


@pytest.mark.parametrize("member", [b'"\xff":1', b'"note":"\xff"', b'"note":["\xe2\x82"]', b'"runs":["\xff"]'])
@pytest.mark.parametrize("padding", [0, 65_536])
def test_bytes_that_are_not_utf8_refuse_the_whole_body(
    server: Api, make_run: MakeRun, member: bytes, padding: int
) -> None:
    """Also where nothing is made of them: in another member than the runs, or in one that is given twice."""
    body = b'{"p":"%s",%s,"runs":[%s]}' % (b" " * padding, member, json.dumps(make_run()).encode())
    answer = server.send("POST", BATCH, body)
    assert answer.status == 400
    assert "not UTF-8" in answer.body["detail"]
    assert server.find().body["total"] == 0


@pytest.mark.parametrize("shift", range(4))
def test_long_body_of_other_letters_is_taken(server: Api, make_run: MakeRun, shift: int) -> None:
    """Wherever the bytes of a character stand."""
    run = make_run(item_name="x" * shift + "\U0001f600" * 50_000)
    body = json.dumps({"runs": [run]}, ensure_ascii=False).encode()
    assert server.send("POST", BATCH, body).status == 201
    assert server.stored(run["event_id"])["item_name"] == run["item_name"]


@both
@pytest.mark.parametrize(
    ("body", "location"),
    [
        (b"[]", ["body"]),
        (b"null", ["body"]),
        (b'"runs"', ["body"]),
        (b"1", ["body"]),
        (b"{}", ["body", "runs"]),
        (b'{"run": []}', ["body", "runs"]),
        (b'{"runs": null}', ["body", "runs"]),
        (b'{"runs": {}}', ["body", "runs"]),
        (b'{"runs": "x"}', ["body", "runs"]),
        (b'{"runs": 1}', ["body", "runs"]),
        (b'{"runs": []}', ["body", "runs"]),
    ],
)
def test_json_that_is_no_batch_is_422(shared_server: Api, path: str, body: bytes, location: list[str]) -> None:
    """JSON of another shape than a batch gets 422 with the location, a message and a type."""
    answer = shared_server.send("POST", path, body)
    assert (answer.status, answer.locations) == (422, [location])
    assert all(fault["msg"] and fault["type"] for fault in answer.body["detail"])


@both
def test_other_members_beside_runs_are_let_pass(shared_server: Api, make_run: MakeRun, path: str) -> None:
    """Unknown members of a batch are ignored, for newer clients."""
    answer = shared_server.send("POST", path, {"client": {"v": 2}, "runs": [make_run()], "note": None})
    assert (answer.status, answer.counts) == (201, (1, 1, 0, 0))


@every_upload
@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/plain;+json",
        "text/plain; charset=application/json",
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; a=b+json",
        "multipart/form-data",
        "multipart/form-data; boundary=application/vnd.runs+json",
        "json",
        "",
        "çOß(\x80",
    ],
)
def test_other_content_type_is_415(shared_server: Api, make_run: MakeRun, path: str, kind: str) -> None:
    """A body of another declared type than JSON gets 415, even if it is JSON."""
    run = make_run()
    answer = shared_server.send("POST", path, run if path.endswith("runs") else {"runs": [run]}, Content_Type=kind)
    assert answer.status == 415
    assert "Content-Type" in answer.body["detail"]
    assert shared_server.find(event_id=run["event_id"]).body["total"] == 0


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.runs+json"])
def test_json_under_its_other_names_is_taken(shared_server: Api, make_run: MakeRun, kind: str) -> None:
    """Parameters, letter case and a +json suffix do not matter."""
    assert shared_server.lenient([make_run()], Content_Type=kind).status == 201


@every_upload
def test_body_without_a_type_is_415(shared_server: Api, make_run: MakeRun, path: str) -> None:
    """A body without a Content-Type gets 415: a page of another site can send one without a preflight."""
    run = make_run()
    body = json.dumps(run if path.endswith("runs") else {"runs": [run]}).encode()
    answer = shared_server.request("POST", path, body)
    assert (answer.status, answer.body) == (415, {"detail": "Content-Type is missing: it must be application/json"})
    assert shared_server.find(event_id=run["event_id"]).body["total"] == 0


def test_identity_encoding_is_no_encoding(shared_server: Api, make_run: MakeRun) -> None:
    """``Content-Encoding: identity`` changes nothing."""
    assert shared_server.lenient([make_run()], Content_Encoding="identity").status == 201


@both
def test_body_over_the_limit_is_413(shared_server: Api, path: str) -> None:
    """A body one byte over the limit gets 413 with the limit."""
    answer = shared_server.send("POST", path, b" " * (MAX_BODY_BYTES + 1))
    assert answer.status == 413
    assert f"{MAX_BODY_BYTES} bytes (max_body_bytes)" in answer.body["detail"]


def test_body_over_the_limit_without_a_length_is_413(shared_server: Api) -> None:
    """A chunked body that exceeds the limit gets 413 although its length was unknown."""
    chunks = (b" " * 65536 for _ in range(MAX_BODY_BYTES // 65536 + 1))
    answer = shared_server.request("POST", BATCH, chunks, {"Content-Type": "application/json"})
    assert answer.status == 413


@pytest.mark.parametrize("chunked", [False, True])
def test_body_at_the_limit_is_taken(shared_server: Api, make_run: MakeRun, *, chunked: bool) -> None:
    """A body of exactly the limit is stored, sent whole or in chunks."""
    body = json.dumps({"runs": [make_run()]}).encode().ljust(MAX_BODY_BYTES)
    pieces = (body[at : at + 65536] for at in range(0, len(body), 65536))
    headers = {"Content-Type": "application/json"}
    answer = shared_server.request("POST", BATCH, pieces if chunked else body, headers)
    assert (answer.status, answer.counts) == (201, (1, 1, 0, 0))


@both
@pytest.mark.parametrize(
    "prefer",
    [
        "return=minimal",
        "Return=minimal",
        "return = minimal",
        'return="minimal"',
        "respond-async, return=minimal",
        "return=minimal; why=slow",
        "wait=10, return=minimal, return=representation",
        'note="a, b", return=minimal',
        'note="a \\" return=representation, b", return=minimal',
        ", ,return=minimal",
    ],
)
def test_minimal_preference_leaves_runs_out(shared_server: Api, make_run: MakeRun, path: str, prefer: str) -> None:
    """Every RFC 7240 spelling of return=minimal empties ``runs``, keeps the counts and is confirmed."""
    run = make_run()
    answer = shared_server.send("POST", path, {"runs": [run, run]}, Prefer=prefer)
    assert (answer.status, answer.counts, answer.body["runs"]) == (201, (2, 1, 1, 0), [])
    assert answer.headers["Preference-Applied"] == "return=minimal"
    assert shared_server.find(event_id=run["event_id"]).body["total"] == 1


@both
@pytest.mark.parametrize(
    "prefer",
    [
        "return=representation",
        "respond-async",
        "return",
        "return=representation, return=minimal",
        'note="x, return=minimal, y"',
        'note="open, return=minimal',
    ],
)
def test_other_preferences_change_nothing(shared_server: Api, make_run: MakeRun, path: str, prefer: str) -> None:
    """Any other preference returns the runs and confirms nothing."""
    answer = shared_server.send("POST", path, {"runs": [make_run()]}, Prefer=prefer)
    assert len(answer.body["runs"]) == 1
    assert "Preference-Applied" not in answer.headers


def test_minimal_answer_still_names_errors_and_conflicts(shared_server: Api, make_run: MakeRun) -> None:
    """With return=minimal a partial failure keeps its status, errors and conflicts."""
    run = make_run()
    answer = shared_server.lenient([run, {**run, "run_id": "other"}, make_run(status="lost")], Prefer="return=minimal")
    assert (answer.status, answer.counts, answer.body["runs"]) == (500, (3, 1, 1, 1), [])
    assert answer.bad_fields == {(2, "status")}
    assert [conflict["fields"] for conflict in answer.body["conflicts"]] == [["run_id"]]


@pytest.mark.parametrize(("size", "status"), [(10, 200), (11, 413)])
def test_a_body_that_arrives_with_its_head_is_limited_as_any_other(size: int, status: int) -> None:
    """What was sent in one piece is there at once, and is compared with the limit before it counts."""
    admission = AdmissionControl(1000, "waiting", Reason.REQUEST_BYTES)
    held = []

    async def handle(request: web.Request) -> web.Response:
        await request.content.wait_eof()
        with admission.lease() as lease:
            try:
                body = await read_body(request, Allowance(10, "the_limit", 1, 1), lease, never_run)
            except UnacceptableBodyError as error:
                return web.Response(status=error.status, text=error.detail)
            finally:
                held.append(admission.held)
        return web.Response(body=body)

    async def send() -> tuple[int, str]:
        app = web.Application()
        app.router.add_post("/", handle)
        async with TestClient(TestServer(app)) as client, client.post("/", data=b"x" * size) as answer:
            return answer.status, await answer.text()

    answered, text = asyncio.run(asyncio.wait_for(send(), DEADLINE_SECONDS))
    assert answered == status
    assert text == ("x" * size if status == 200 else "the body exceeds 10 bytes (the_limit)")
    assert held == [size if status == 200 else 0]


async def never_run(_work: Callable[[], bytes]) -> bytes:
    """Fail: a small body needs no other thread."""
    raise AssertionError
