"""Laws that hold for any input, whatever was sent before."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.memory import MemoryStore
from adapters.wire.canonical import canonical_json
from adapters.wire.decode import Decoder
from adapters.wire.encode import batch_answer, encode
from adapters.wire.json_text import NotJsonError, decode_json
from adapters.wire.query import format_cursor, parse_list_query
from adapters.wire.run_list import encode_listed
from adapters.wire.run_view import RunView
from adapters.wire.structure import Structurer
from core.errors import BatchTooLargeError, EveryRunRefusedError, InvalidQueryError, NotABatchError, RunRefusedError
from core.model.batch import BatchResult, Candidate
from core.model.limits import Limits
from core.model.listing import Cursor, PageRequest, RunFilter
from core.model.run import Run, Timestamp
from core.validation.fields import InvalidValueError, format_timestamp, parse_json_object, parse_timestamp
from core.validation.queries import page_request
from entrypoints.application import Application
from entrypoints.embedded import RunStore
from tests.fakes.clock import StoppedClock
from tests.properties.model import TIMES, kept_run, seen, shown
from tests.properties.raw import REQUIRED, damaged, iso_forms, raw_runs, raw_values
from tests.properties.strategies import (
    OBJECTS,
    canonical,
    expected_utc,
    json_objects,
    json_values,
    kept_runs,
    kept_timestamp,
    kept_timestamps,
    sent_runs,
    sent_timestamps,
)

EXAMPLES = settings(max_examples=200)
SOME = settings(max_examples=80)
FEW = settings(max_examples=40)

NOW = Timestamp("2026-06-01T00:00:00.000000Z")
STRUCTURER = Structurer()
DECODER = Decoder(STRUCTURER, Limits(max_batch_runs=5))


def _store() -> RunStore:
    return RunStore(Application.over(MemoryStore(), StoppedClock(NOW), Limits()))


def _create(store: RunStore, sent: dict[str, Any]) -> Run | None:
    try:
        return store.create(sent)
    except RunRefusedError:
        return None


def _lenient(store: RunStore, batch: list[dict[str, Any]]) -> list[Run]:
    try:
        return list(store.ingest_lenient(batch).runs)
    except EveryRunRefusedError:
        return []


_MIXED = st.one_of(
    sent_runs(st.sampled_from("abc")),
    sent_runs(st.sampled_from("abc")).map(lambda run: run | {"start_time": "soon"}),
)


@FEW
@given(batch=st.lists(_MIXED, min_size=1, max_size=5))
def test_a_lenient_batch_is_its_runs_one_by_one(batch: list[dict[str, Any]]) -> None:
    """A lenient batch has the same results as sending each run separately."""
    with _store() as together, _store() as apart:
        one_by_one = [run for run in (_create(apart, sent) for sent in batch) if run is not None]
        assert _lenient(together, batch) == one_by_one
        request = PageRequest(limit=1000)
        assert together.page(request=request).runs == apart.page(request=request).runs


@FEW
@given(sent=sent_runs())
def test_bytes_and_values_make_the_same_run(sent: dict[str, Any]) -> None:
    """A run sent as JSON, the same sent as a mapping, and the model's are equal, field by field."""
    from_bytes = DECODER.run(json.dumps(sent).encode(), NOW)
    assert isinstance(from_bytes, Run)
    assert from_bytes == STRUCTURER.run(sent, 0, NOW)
    assert seen(from_bytes) == kept_run(sent, NOW)


@FEW
@given(sent=sent_runs())
def test_an_answer_sent_again_is_the_same_run(sent: dict[str, Any]) -> None:
    """A run in a response can be sent back, and is the same run."""
    run = STRUCTURER.run(sent, 0, NOW)
    assert isinstance(run, Run)
    assert DECODER.run(encode(run), NOW) == run
    assert STRUCTURER.run(run, 0, NOW) == run


def _fast(raw: bytes) -> Run | None:
    return DECODER._run_fast(raw, NOW)  # noqa: SLF001 - the law is about this pass alone


def _typed(run: Candidate) -> list[tuple[type, object]]:
    return [(type(value), value) for value in attrs.astuple(run, recurse=False)]


RULED: Final = {
    "start_time": ('"2026-01-31T12:00:00.123456+00:00"', '"2026-02-30T12:00:00.123456+00:00"'),
    "end_time": ('"2026-01-31T12:00:00.123456Z"', '"2026-01-31T24:00:00.123456Z"'),
    "commit_timestamp": ('"2026-01-31 12:00+02:00"', '"2026-01-31T12:00:00"'),
    "status": ('"failed"', '"FAILED"'),
    "commit_source": ('"ci"', '"CI"'),
    "commit_hash": ('"abcdef1"', '"abcdef"'),
    **dict.fromkeys(OBJECTS, ('{"b":1,"a":[1e16]}', '{"a":' + "[" * 100 + "]" * 100 + "}")),
}
"""The fields with a rule beyond their type in JSON; for each, a valid value and an invalid one of that type."""


def _spelled(members: Mapping[str, str]) -> bytes:
    return ("{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}").encode()


def test_the_fast_pass_takes_a_good_run() -> None:
    """The fast pass accepts a run with every kind of field, so the laws about it are not empty."""
    valid = {name: value for name, (value, _) in RULED.items()}
    raw = _spelled(dict(REQUIRED) | valid | {"duration_ms": "1", "created_at": "[]", "updated_at": "7"})
    fast = _fast(raw)
    assert fast is not None
    assert _typed(fast) == _typed(STRUCTURER.run(json.loads(raw), 0, NOW))


@pytest.mark.parametrize("name", RULED)
def test_the_fast_pass_applies_every_rule(name: str) -> None:
    """It leaves a run to the slow pass if the value of any one field breaks the rule of that field alone."""
    valid, invalid = RULED[name]
    assert _fast(_spelled(dict(REQUIRED) | {name: valid})) is not None
    assert _fast(_spelled(dict(REQUIRED) | {name: invalid})) is None


@EXAMPLES
@given(raw=raw_runs())
def test_what_the_fast_pass_takes_the_slow_pass_makes_equal(raw: bytes) -> None:
    """If the fast pass returns a run, the slow pass returns an equal one, of equal types."""
    fast = _fast(raw)
    if fast is not None:
        assert _typed(fast) == _typed(STRUCTURER.run(decode_json(raw), 0, NOW))


@EXAMPLES
@given(raw=damaged(raw_runs()))
def test_the_fast_pass_takes_no_damaged_run(raw: bytes) -> None:
    """Of damaged bytes, the fast pass accepts only what the slow pass accepts."""
    fast = _fast(raw)
    if fast is not None:
        assert _typed(fast) == _typed(STRUCTURER.run(decode_json(raw), 0, NOW))


@EXAMPLES
@given(
    name=st.sampled_from([*RULED, "product", "duration_ms", "event_id", "run_id", "job_type", "x"]),
    value=raw_values(),
)
def test_one_field_replaced_is_judged_alike(name: str, value: str) -> None:
    """Both passes agree on one nearly valid value in an otherwise valid run."""
    members = {**dict(REQUIRED), name: value}
    raw = ("{" + ",".join(f'"{field}":{text}' for field, text in members.items()) + "}").encode(
        "utf-8", "surrogatepass"
    )
    fast = _fast(raw)
    if fast is not None:
        assert _typed(fast) == _typed(STRUCTURER.run(decode_json(raw), 0, NOW))


@SOME
@given(raws=st.lists(raw_runs(), min_size=1, max_size=5))
def test_a_batch_is_its_runs(raws: list[bytes]) -> None:
    """A batch decodes like each of its runs, or is not JSON because one of them is not."""
    body = b'{"runs":[' + b",".join(raws) + b"]}"
    try:
        alone = [DECODER.run(raw, NOW) for raw in raws]
    except NotJsonError:
        with pytest.raises(NotJsonError):
            DECODER.batch(body, NOW)
        return
    expected = [run if isinstance(run, Run) else attrs.evolve(run, index=n) for n, run in enumerate(alone)]
    assert DECODER.batch(body, NOW) == expected


def _decode(body: bytes) -> list[Candidate] | None:
    """Return the candidates of a batch, or ``None`` if it is rejected."""
    try:
        return DECODER.batch(body, NOW)
    except (NotJsonError, NotABatchError, BatchTooLargeError):
        return None


@SOME
@given(document=json_values() | st.fixed_dictionaries({"runs": json_values() | st.lists(json_objects())}))
def test_any_document_gives_candidates_or_a_refusal(document: Any) -> None:
    """Up to five runs give one candidate each; anything else is rejected in one of three ways."""
    candidates = _decode(json.dumps(document).encode())
    runs = document.get("runs") if isinstance(document, dict) else None
    if isinstance(runs, list) and 1 <= len(runs) <= 5:
        assert candidates is not None
        assert len(candidates) == len(runs)
    else:
        assert candidates is None


@SOME
@given(body=st.binary() | damaged(st.lists(raw_runs()).map(lambda raws: b'{"runs":[' + b",".join(raws) + b"]}")))
@example(body=b"")
@example(body=b"\xef\xbb\xbf{}")
@example(body='{"runs":[]}'.encode("utf-16"))
@example(body=b"[" * 100_000)
@example(body=b'{"runs":[' + b"[" * 100_000)
@example(body=b'{"runs":[{"x":' + b"[" * 5000 + b"]" * 5000 + b"}]}")
@example(body=b'{"runs":[' + b"9" * 100_000 + b"]}")
@example(body=b'{"runs":[{"duration_ms":' + b"9" * 100_000 + b"}]}")
@example(body=b'{"runs":[{"metrics_json":{"a":' + b"9" * 100_000 + b".5}}]}")
@example(body=b'{"runs":[{"\\ud800":1,"event_id":"\\ud800"}]}')
@example(body=b'{"runs":[{"x":NaN,"extra":{"x":NaN}}]}')
def test_any_bytes_give_candidates_or_a_refusal(body: bytes) -> None:
    """No bytes make the decoder fail in any other way, and its results are well formed."""
    candidates = _decode(body)
    assert candidates is None or 1 <= len(candidates) <= 5


@pytest.mark.parametrize("depth", [*range(300, 1100, 50), 10_000])
def test_deep_nesting_in_both_places_is_refused_and_no_failure(depth: int) -> None:
    """A field sent at the top level and in ``extra``, both deeply nested, is rejected without failing."""
    deep = b"[" * depth + b"]" * depth
    candidates = _decode(b'{"runs":[{"x":' + deep + b',"extra":{"x":' + deep + b"}}]}")
    assert candidates is not None
    assert not isinstance(candidates[0], Run)


@SOME
@given(raws=st.lists(raw_runs(), min_size=1, max_size=4), at=st.integers(0, 4), depth=st.integers(900, 30_000))
def test_a_deep_run_changes_nothing_for_those_beside_it(raws: list[bytes], at: int, depth: int) -> None:
    """The candidates of the other runs do not change if one run cannot be decoded."""
    deep = b'{"x":' + b"[" * depth + b"]" * depth + b"}"
    without = _decode(b'{"runs":[' + b",".join(raws) + b"]}")
    beside = _decode(b'{"runs":[' + b",".join([*raws[:at], deep, *raws[at:]]) + b"]}")
    if without is None:
        assert beside is None
        return
    assert beside is not None
    refused = beside.pop(min(at, len(raws)))
    assert not isinstance(refused, Run)
    assert list(map(_content, beside)) == list(map(_content, without))


def _content(candidate: Candidate) -> object:
    """Return a candidate without its index."""
    return candidate if isinstance(candidate, Run) else attrs.evolve(candidate, index=0)


_ODD_TEXTS = st.sampled_from(
    [
        *("", "running", "failed", "lost", "2026-01-31T13:00:00+01:00", "2026-01-31", "2026-01-31T12:00:00+01:60"),
        "x" * 256,
    ]
)
_FILTERS = st.dictionaries(
    st.sampled_from(list(attrs.fields_dict(RunFilter))), _ODD_TEXTS | st.text(max_size=4), max_size=3
)
_NUMBERS = st.sampled_from([0, 1, 100, 1000, 1001, 2**63 - 1, 2**63, 10**5000])


def _asked(ask: Callable[[], Any]) -> Any:
    """Return the parsed query, or its validation errors."""
    try:
        return ask()
    except InvalidQueryError as error:
        return error.errors


@EXAMPLES
@given(which=_FILTERS)
def test_a_query_and_a_filter_are_judged_alike(which: dict[str, str]) -> None:
    """A filter in a query string equals the same one in process, or both have the same errors."""
    over_http = _asked(lambda: parse_list_query(which.items(), STRUCTURER, Limits())[0])
    assert over_http == _asked(lambda: STRUCTURER.run_filter(RunFilter(**which)))  # type: ignore[arg-type]


@SOME
@given(parts=st.dictionaries(st.sampled_from(["limit", "offset"]), _NUMBERS))
def test_a_query_and_a_request_are_judged_alike(parts: dict[str, int]) -> None:
    """A page request in a query string equals the same one in process."""
    spelled = {name: f"{number:d}" if number < 10**20 else "9" * 5001 for name, number in parts.items()}
    over_http = _asked(lambda: parse_list_query(spelled.items(), STRUCTURER, Limits())[1])
    inside = _asked(lambda: page_request(parts, Limits()))
    named = [
        sorted(str(fault.field) for fault in asked) if isinstance(asked, tuple) else asked
        for asked in (over_http, inside)
    ]
    assert named[0] == named[1]


@EXAMPLES
@given(start=kept_timestamps(), arrival=st.integers(0, 2**63 - 1))
def test_a_cursor_reads_back_as_it_was_given(start: Timestamp, arrival: int) -> None:
    """A cursor survives its text form."""
    cursor = Cursor(start, arrival)
    _, request, _ = parse_list_query([("cursor", format_cursor(cursor))], STRUCTURER, Limits())
    assert (request.cursor, request.counted) == (cursor, False)


@EXAMPLES
@given(run=kept_runs())
def test_an_answer_shows_times_as_short_as_they_are_exact(run: Run) -> None:
    """Responses show runs as stored, except that times omit a zero fraction."""
    answers = (
        json.loads(encode(run)),
        *json.loads(encode_listed([run], RunView())),
        *json.loads(encode(batch_answer(BatchResult((run,), 1, 1, 0, 0))))["runs"],
    )
    for answer in answers:
        for name in TIMES:
            if answer[name] is not None:
                assert answer[name].endswith(".000000Z") is False
                assert parse_timestamp(answer[name]) == getattr(run, name)
        assert shown(answer) == seen(run)


@EXAMPLES
@given(value=json_objects(), data=st.data())
def test_canonical_text_is_one_text_for_one_object(value: dict[str, Any], data: st.DataObject) -> None:
    """The text does not depend on the order of keys, and means exactly what was sent."""
    shuffled = dict(data.draw(st.permutations(list(value.items()))))
    text = canonical_json(parse_json_object(value))
    assert canonical_json(shuffled) == text
    assert canonical(json.loads(text)) == canonical(value)


@EXAMPLES
@given(value=json_objects())
def test_canonical_text_has_sorted_keys_at_every_level(value: dict[str, Any]) -> None:
    """Keys are in code point order, even in objects in lists in objects."""

    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [name for name, _ in pairs]
        assert keys == sorted(set(keys))
        return dict(pairs)

    assert json.loads(canonical_json(value), object_pairs_hook=check) is not None


@EXAMPLES
@given(value=json_objects())
def test_canonical_text_is_a_fixed_point(value: dict[str, Any]) -> None:
    """Canonicalising is idempotent."""
    text = canonical_json(value)
    assert canonical_json(json.loads(text)) == text
    assert canonical_json(json.loads(json.dumps(value, indent=1))) == text


@pytest.mark.parametrize("sign", [1, -1])
def test_the_longest_integers_are_kept(sign: int) -> None:
    """The wire preserves every integer that the rules accept: up to 4300 digits, of either sign."""
    value = {"a": sign * (10**4300 - 1)}
    raw = json.dumps({**{name: json.loads(text) for name, text in REQUIRED}, "metrics_json": value}).encode()
    run = DECODER.run(raw, NOW)
    assert isinstance(run, Run), run
    assert run.metrics_json == canonical(parse_json_object(value))


@pytest.mark.parametrize(("top", "inside"), [(1, True), (1, 1.0), (0, False), (0.0, -0.0), ([1], [True])])
def test_two_values_of_one_field_are_never_merged(top: object, inside: object) -> None:
    """A field sent at the top level and in ``extra`` with different values is rejected, not altered silently."""
    sent = {**{name: json.loads(text) for name, text in REQUIRED}, "x": top, "extra": {"x": inside}}
    assert not isinstance(STRUCTURER.run(sent, 0, NOW), Run)


@EXAMPLES
@given(text=sent_timestamps())
def test_a_timestamp_is_kept_in_utc(text: str) -> None:
    """Any offset is converted to UTC, checked by plain arithmetic."""
    assert parse_timestamp(text) == expected_utc(text)


@EXAMPLES
@given(text=sent_timestamps())
def test_a_kept_timestamp_is_kept_as_it_is(text: str) -> None:
    """Parsing a stored timestamp returns it unchanged."""
    kept = parse_timestamp(text)
    assert parse_timestamp(kept) == kept
    assert len(kept) == 27


@EXAMPLES
@given(first=sent_timestamps(), second=sent_timestamps())
def test_text_order_is_time_order(first: str, second: str) -> None:
    """Stored timestamps compare as text exactly as their instants do."""
    early, late = datetime.fromisoformat(first), datetime.fromisoformat(second)
    assert (parse_timestamp(first) < parse_timestamp(second)) == (early < late)
    assert (parse_timestamp(first) == parse_timestamp(second)) == (early == late)


@EXAMPLES
@given(form=iso_forms())
def test_any_iso_form_means_its_instant_or_is_refused(form: tuple[str, datetime]) -> None:
    """Week dates, basic forms, commas, odd offsets: whatever is accepted is stored as the right instant."""
    text, instant = form
    try:
        kept = parse_timestamp(text)
    except InvalidValueError:
        return
    assert kept == kept_timestamp(instant)


@EXAMPLES
@given(instant=st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 31), timezones=st.timezones()))  # noqa: DTZ001
def test_formatting_and_parsing_are_inverse(instant: datetime) -> None:
    """A formatted instant of any time zone parses to the same text, and is the same instant."""
    kept = format_timestamp(instant)
    assert parse_timestamp(kept) == kept
    assert datetime.fromisoformat(kept) == instant.astimezone(UTC)


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2026-01-31T12:00:00",
        "2026-01-31",
        "2026-02-29T12:00:00Z",
        "2026-01-31T25:00:00Z",
        "2026-01-31T12:00:60Z",
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00.000000Z ",
        "2026-01-31T12:00:00.000000\ud800",
        "2026-01-31T12:00:00Z\0",
        "2026-01-31T12:00:00Z\0trailing",
        "2026-01-31x12:00:00 Z",
        "2026-01-31\ud80012:00:00Z",
        "\uff12026-01-31T12:00:00Z",
        "",
        "now",
    ],
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    """A missing offset, an invalid day or a year outside 1 to 9999 is a validation error, never another one."""
    with pytest.raises(InvalidValueError):
        parse_timestamp(text)


def test_midnight_at_the_end_of_a_day_is_never_kept_as_24_hours() -> None:
    """``24:00`` is rejected or stored as the next day's start, depending on Python; text order is preserved."""
    for text in ("2026-01-31T24:00:00.000000Z", "2026-01-31T24:00:00.000000+00:00", "2026-01-31T24:00:00Z"):
        try:
            kept = parse_timestamp(text)
        except InvalidValueError:
            continue
        assert kept == "2026-02-01T00:00:00.000000Z"
