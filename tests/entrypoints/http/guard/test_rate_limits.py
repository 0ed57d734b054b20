"""Rate limits: how much is admitted, what clients are told, and how much memory it takes."""

import re
import threading
import tracemalloc
from pathlib import Path

import pytest
from limits import RateLimitItem

from entrypoints.http.guard.addresses import client_network
from entrypoints.http.guard.rate_limits import MAX_WINDOWS, RateLimitedError, RateLimits, Unit
from entrypoints.rates import parse_rate
from tests.figures import Figures, Scale
from tests.http_streams import fetch
from tests.servers import Answer, Api, MakeRun, Start

SECRETS = {"a": "a-0123456789abcdef", "b": "b-0123456789abcdef"}
REQUESTS, RUNS = Unit.REQUESTS, Unit.RUNS


class Clock:
    """A clock that changes only when set."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    """Return the clock of ``limits``."""
    return Clock()


def make(clock: Clock, *, max_windows: int = MAX_WINDOWS, **texts: str) -> RateLimits:
    """Return limits with rates by unit, such as ``requests="3/minute"``."""
    rates = {Unit(unit): rate(text) for unit, text in texts.items()}
    return RateLimits(rates, clock, max_windows)


def rate(text: str) -> RateLimitItem:
    """Return a valid rate."""
    parsed = parse_rate("rate-requests", text)
    assert parsed is not None
    return parsed


def refusal(limits: RateLimits, client: str, unit: Unit, cost: int = 1) -> RateLimitedError:
    """Return the error for exceeding the quota."""
    with pytest.raises(RateLimitedError) as error:
        limits.charge(client, unit, cost)
    return error.value


def bearer(name: str) -> dict[str, str]:
    """Return the header with this secret."""
    return {"Authorization": f"Bearer {SECRETS[name]}"}


def left(answer: Answer) -> dict[str, int]:
    """Return the remaining quota in a response, by unit."""
    items = re.findall(r'"(\w+)";r=(\d+)', answer.headers["RateLimit"])
    return {unit: int(remaining) for unit, remaining in items}


@pytest.mark.parametrize(
    ("text", "amount", "seconds"),
    [
        ("100/second", 100, 1),
        ("100/SECONDS", 100, 1),
        ("5 per minute", 5, 60),
        ("5000 per 10 minutes", 5000, 600),
        ("7/2hour", 7, 7200),
    ],
)
def test_rates(text: str, amount: int, seconds: int) -> None:
    """A rate is an amount and a window, in everyday words."""
    assert (rate(text).amount, rate(text).get_expiry()) == (amount, seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "100",
        "/second",
        "0/second",
        "-1/second",
        "1.5/second",
        "1/fortnight",
        "1/second;2/minute",
        "1" * 17 + "/day",
    ],
)
def test_what_is_no_rate(text: str) -> None:
    """Anything but one enforceable rate is rejected with what would be valid."""
    with pytest.raises(ValueError, match=r"rate-runs must be off or one rate such as 100/second"):
        parse_rate("rate-runs", text)


def test_quota_of_a_window(clock: Clock) -> None:
    """A client has its quota from its first request to the end of the window, then again; others have their own."""
    limits = make(clock, requests="3/minute")
    for _ in range(3):
        limits.charge("one", REQUESTS)
    clock.seconds += 59.5
    error = refusal(limits, "one", REQUESTS)
    assert error.retry_after == 1
    assert error.detail == "the limit is 3 requests in 60 seconds: 0 left, 1 needed; retry in 1 s"
    limits.charge("two", REQUESTS)
    clock.seconds += 0.5
    for _ in range(3):
        limits.charge("one", REQUESTS)
    assert refusal(limits, "one", REQUESTS).retry_after == 60


def test_refused_batch_costs_nothing(clock: Clock) -> None:
    """A rejected request is not counted, so one that fits still passes."""
    limits = make(clock, runs="10/minute")
    limits.charge("one", RUNS, 6)
    assert "4 left, 5 needed" in refusal(limits, "one", RUNS, 5).detail
    limits.charge("one", RUNS, 4)


def test_batch_that_can_never_pass(clock: Clock) -> None:
    """A batch larger than the whole quota is told that it can never fit, even with an unused quota."""
    limits = make(clock, runs="10/minute")
    error = refusal(limits, "one", RUNS, 11)
    assert error.detail == "11 runs at once can never fit the limit of 10 runs in 60 seconds; send at most 10 at once"
    assert error.retry_after >= 1
    limits.charge("one", RUNS, 10)


def test_what_is_left_is_taken_bit_by_bit(clock: Clock) -> None:
    """What waits for its quota gets what there is, and is told when there is more."""
    limits = make(clock, runs="10/minute")
    assert limits.take("one", RUNS, 6) == (6, 60.0)
    clock.seconds += 20
    assert limits.take("one", RUNS, 6) == (4, 40.0)
    assert limits.take("one", RUNS, 6) == (0, 40.0)
    clock.seconds += 40
    assert limits.take("one", RUNS, 6) == (6, 60.0)
    assert limits.take("one", REQUESTS, 6) == (6, 0.0)


def test_units_are_counted_apart(clock: Clock) -> None:
    """Requests do not use up the quota of runs, and units without a limit are not counted."""
    limits = make(clock, requests="1/minute", runs="1/minute")
    limits.charge("one", REQUESTS)
    limits.charge("one", RUNS)
    refusal(limits, "one", RUNS)
    make(clock, requests="1/minute").charge("one", RUNS, 10**9)


def test_fields(clock: Clock) -> None:
    """The fields give each policy's quota and window, the remaining quota and the seconds until the reset."""
    limits = make(clock, requests="100/minute", runs="5000/hour")
    limits.charge("one", REQUESTS)
    clock.seconds += 0.5
    limits.charge("one", RUNS, 20)
    clock.seconds += 29.75
    assert limits.fields("one") == {
        "RateLimit-Policy": '"requests";q=100;w=60, "runs";q=5000;w=3600;qu="runs"',
        "RateLimit": '"requests";r=99;t=30, "runs";r=4980;t=3571',
    }
    assert limits.fields("two")["RateLimit"] == '"requests";r=100, "runs";r=5000'


def test_window_that_was_not_used_for_longest_is_forgotten(clock: Clock) -> None:
    """The number of windows is bounded; which one is dropped does not depend on when it began."""
    limits = make(clock, requests="3/minute", max_windows=2)
    for client in ("old", "other", "old", "new"):
        limits.charge(client, REQUESTS)
    assert [limits.fields(client)["RateLimit"][:14] for client in ("old", "other", "new")] == [
        '"requests";r=1',
        '"requests";r=3',
        '"requests";r=2',
    ]


def test_memory_is_bounded(clock: Clock, scale: Scale, figures: Figures) -> None:
    """With any number of addresses, the memory of the windows stays within what the documentation says."""
    threads = set(threading.enumerate())
    count, windows = scale(10_000, 500_000), scale(5_000, MAX_WINDOWS)
    clients = [f"address/2001:db8:{number >> 16:x}:{number & 65535:x}::/64" for number in range(count)]
    tracemalloc.start()
    limits = make(clock, max_windows=windows, requests="10/day")
    for client in clients:
        limits.charge(client, Unit.REQUESTS)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    mebibytes = taken / windows * MAX_WINDOWS / 2**20
    figures(addresses=count, windows=windows, bytes_per_window=taken // windows, mebibytes_at_most=f"{mebibytes:.1f}")
    assert mebibytes < 30
    assert set(threading.enumerate()) <= threads


@pytest.mark.parametrize(
    ("remote", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%lo", "fe80::/64"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_client_of_an_address(remote: str | None, client: str) -> None:
    """An IPv6 client is a /64 network; an IPv4 client is its address, however the socket shows it."""
    assert client_network(remote) == client


def test_requests_over_the_limit(start: Start, make_run: MakeRun) -> None:
    """Beyond the limit requests get 429 in JSON, nothing is stored, and ``/health`` responds."""
    with start(rate_requests="4/day") as api:
        answers = [api.create(make_run()) for _ in range(5)]
        assert [answer.status for answer in answers] == [201, 201, 201, 201, 429]
        assert [left(answer)["requests"] for answer in answers] == [3, 2, 1, 0, 0]
        refused = answers[-1]
        assert 86_000 < int(refused.headers["Retry-After"]) <= 86_400
        assert re.fullmatch(r'"requests";r=0;t=8[56]\d\d\d', refused.headers["RateLimit"])
        assert refused.headers["RateLimit-Policy"] == '"requests";q=4;w=86400'
        assert "the limit is 4 requests in 86400 seconds" in refused.body["detail"]
        assert api.find().status == api.request("GET", "/ready").status == 429
        health = api.request("GET", "/health")
        assert health.status == 200
        assert "RateLimit" not in health.headers


def test_the_page_is_not_limited(start: Start) -> None:
    """Its files use no quota and tell none, also when there is none left; what it asks the API for counts."""
    with start(rate_requests="1/day") as api:
        assert [api.find().status, api.find().status] == [200, 429]
        for path in ("/ui/", "/ui/launch", "/ui/assets/js/app.js"):
            for method in ("GET", "HEAD"):
                page = fetch(api, method, path)
                assert page.status == 200
                assert not {"RateLimit", "RateLimit-Policy"} & set(page.headers)
        assert fetch(api, "GET", "/ui").status == 307
        assert fetch(api, "POST", "/ui/", b"{}", Content_Type="application/json").status == 429
        assert fetch(api, "GET", "/uix").status == 429


def test_batch_over_the_limit_is_refused_whole(start: Start, make_run: MakeRun) -> None:
    """A batch that does not fit is rejected before anything is stored; a smaller one still passes."""
    with start(rate_runs="10/day") as api:
        runs = [make_run() for _ in range(11)]
        never = api.lenient(runs)
        assert (never.status, left(never)) == (429, {"runs": 10})
        assert "can never fit" in never.body["detail"]
        assert api.atomic(runs[:6]).status == 201
        refused = api.lenient(runs[6:])
        assert (refused.status, left(refused)) == (429, {"runs": 4})
        assert "4 left, 5 needed" in refused.body["detail"]
        assert int(refused.headers["Retry-After"]) > 0
        assert api.lenient([*runs[6:9], {}]).status == 500
        assert api.create(runs[10]).status == 429
        assert api.find().body["total"] == 9


def test_what_counts_as_a_run(start: Start, make_run: MakeRun) -> None:
    """Repeated and rejected runs count; changes and reads do not."""
    with start(rate_runs="100/day") as api:
        run = make_run()
        assert left(api.create(run))["runs"] == 99
        assert left(api.lenient([run, run, {}]))["runs"] == 96
        assert left(api.create({}))["runs"] == 95
        assert left(api.patch(run["event_id"], {"status": "success"}))["runs"] == 95
        assert left(api.commit(run["event_id"], {"commit_hash": "abcdef0", "commit_source": "ci"}))["runs"] == 95
        assert left(api.get("none"))["runs"] == 95


def test_answers_of_every_kind_tell_the_limits(start: Start) -> None:
    """Every response to a request that counts, errors included, gives the remaining quota."""
    with start(rate_requests="100/day") as api:
        answers = [
            api.find(),
            api.get("none"),
            api.find(limit=0),
            api.create(b"{"),
            api.request("DELETE", "/api/v1/runs"),
            api.request("GET", "/nowhere"),
        ]
        assert [answer.status for answer in answers] == [200, 404, 422, 400, 405, 404]
        assert [left(answer)["requests"] for answer in answers] == [99, 98, 97, 96, 95, 94]


def test_no_fields_without_limits(server: Api) -> None:
    """A server without rate limits sends no such fields."""
    assert not {"RateLimit", "RateLimit-Policy"} & set(server.find().headers)


def test_each_token_has_a_quota(start: Start, tmp_path: Path) -> None:
    """Each token has its own quota; unknown tokens count against the address, until it gets 429."""
    path = tmp_path / "tokens.txt"
    path.touch(0o600)
    path.write_text("".join(f"{name} write {secret}\n" for name, secret in SECRETS.items()))

    def ask(api: Api, headers: dict[str, str]) -> tuple[int, int]:
        answer = api.request("GET", "/api/v1/runs", headers=headers)
        return answer.status, left(answer)["requests"]

    with start(rate_requests="2/day", token_file=path) as api:
        assert [ask(api, bearer("a")) for _ in range(3)] == [(200, 1), (200, 0), (429, 0)]
        wrong = {"Authorization": "Bearer wrong"}
        assert [ask(api, headers) for headers in (wrong, {}, wrong)] == [(401, 1), (401, 0), (429, 0)]
        assert [ask(api, bearer("b")) for _ in range(3)] == [(200, 1), (200, 0), (429, 0)]
