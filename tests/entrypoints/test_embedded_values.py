"""The in-process API accepts any Python value: it is stored by value, or its run is rejected and named."""

import enum
import json
import traceback
from collections import ChainMap, OrderedDict, UserDict, defaultdict, namedtuple
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from core.errors import InvalidChangesError, InvalidCommitError, RunRefusedError
from core.model.run import Run
from entrypoints.embedded import RunStore, open_store
from tests.servers import MakeRun


class Float64(float):
    """A number like numpy's: a ``float`` with another repr and comparison."""

    def __repr__(self) -> str:
        return f"np.float64({float(self)})"

    def __eq__(self, other: object) -> bool:
        raise ValueError("ambiguous")

    __hash__ = None  # type: ignore[assignment]


class Int64:
    """An integer like numpy's, which is not an ``int``."""

    def __int__(self) -> int:
        return 1

    __index__ = __int__


class Level(enum.IntEnum):
    """Numbers with names."""

    HIGH = 3


class Word(enum.StrEnum):
    """Texts with names."""

    FAILED = "failed"
    LLM = "llm"
    HASH = "abcdef0"
    TIME = "2026-01-31T13:00:00+01:00"
    KEY = "a"


class Text(str):
    """A text that pretends to be another, has another length, and raises on lookup."""

    __slots__ = ()

    def __str__(self) -> str:
        return "lie"

    def __len__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def encode(self, *_: Any) -> bytes:  # type: ignore[override]
        raise OSError("no")


class Number(int):
    """A number that pretends to be another."""

    def __abs__(self) -> int:
        return 0

    def __lt__(self, other: object) -> bool:
        raise ZeroDivisionError

    __le__ = __gt__ = __ge__ = __lt__
    __str__ = __repr__ = lambda _: "many"


class Object(dict[Any, Any]):
    """An object that hides its members."""

    def items(self) -> Any:
        raise OSError("no")

    keys = values = __iter__ = items

    def __len__(self) -> int:
        return 0


class List(list[Any]):
    """A list that hides its elements."""

    def __iter__(self) -> Any:
        raise OSError("no")


class Liar:
    """An object that pretends to be a text, and raises for everything else."""

    @property
    def __class__(self) -> type:
        return str

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError

    __str__ = __len__ = __iter__ = __eq__ = __bool__ = __repr__
    __hash__ = object.__hash__


class Raiser:
    """An object that hides its class."""

    @property
    def __class__(self) -> type:
        raise OSError("no")


class Meta(type):
    """A metaclass that raises."""

    def __repr__(cls) -> str:
        raise RuntimeError

    __str__ = __hash__ = __repr__  # type: ignore[assignment]

    @property
    def __name__(cls) -> str:
        raise RuntimeError

    def __instancecheck__(cls, _: object) -> bool:
        raise RuntimeError

    __subclasscheck__ = __eq__ = __instancecheck__


class Strange(metaclass=Meta):
    """An instance of such a class."""


class Broken(Mapping[str, Any]):
    """A mapping that cannot be read."""

    def __getitem__(self, _: str) -> Any:
        raise KeyError("gone")

    def __iter__(self) -> Iterator[str]:
        return iter(["event_id"])

    def __len__(self) -> int:
        return 1


class Endless(Mapping[str, Any]):
    """A mapping without end."""

    def __getitem__(self, name: str) -> Any:
        return self[name]

    __iter__ = Broken.__iter__
    __len__ = Broken.__len__


class OddRun(Run):
    """A run of a subclass that cannot be read."""

    def __getattribute__(self, _: str) -> Any:
        raise OSError("no")


Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - as it is found in the wild

KEPT: list[tuple[Any, Any]] = [
    (Float64(0.1), 0.1),
    (Level.HIGH, 3),
    (Word.FAILED, "failed"),
    (Text("text"), "text"),
    (Number(7), 7),
    (OrderedDict(b=1, a=2), {"a": 2, "b": 1}),
    (defaultdict(list, a=[1]), {"a": [1]}),
    (Object(a=Object(b=List([Text("x")]))), {"a": {"b": ["x"]}}),
    ({Word.KEY: 1, Text("b"): 2}, {"a": 1, "b": 2}),
    (List([1, True, None]), [1, True, None]),
]
MAPPINGS = (UserDict, ChainMap, MappingProxyType)
FOREIGN: list[Any] = [
    *(Int64(), Liar(), Raiser(), Strange(), Broken(), MappingProxyType({}), UserDict(), ChainMap(), Decimal(1)),
    *((), (1, 2), Pair(1, 2), {1}, b"bytes", bytearray(b"x"), range(3), iter([]), object(), object, ..., 1j, len),
]
REFUSED: list[Any] = [
    *(Float64("nan"), Float64("inf"), Number(10**4300), Text("\ud800"), {Text("\udfff"): 1}),
    *({Text("a"): 1, "a": 2}, {Text("a"): 1, Text("a"): 1}, {Liar(): 1}, {Number(1): 1}, {(): 1}, {None: 1}, {b"a": 1}),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunStore]:
    """Open a store over a new file."""
    with open_store(tmp_path_factory.mktemp("values") / "runs.db") as runs:
        yield runs


# Tests get the index of a value, since pytest inspects values and some of these raise.
VALUES = [*FOREIGN, *REFUSED]
every_foreign = pytest.mark.parametrize("number", range(len(FOREIGN)))
every_refused = pytest.mark.parametrize("number", range(len(VALUES)))
every_kept = pytest.mark.parametrize("number", range(len(KEPT)))


def refused_alone(store: RunStore, good: "dict[str, Any]", bad: Any) -> list[tuple[str | None, str]]:
    """Send an invalid run between two valid ones, check that it alone fails, and return its errors."""
    result = store.ingest_lenient([good, bad, good])
    assert (result.total, result.created, result.existing, result.failed) == (3, 1, 1, 1)
    (refused,) = result.refused
    assert refused.index == 1
    return [(fault.field, str(fault)) for fault in refused.errors]


@every_kept
@pytest.mark.parametrize("field", ["metrics_json", "context_json", "extra"])
def test_what_is_json_by_its_value_is_kept_by_it(store: RunStore, make_run: MakeRun, field: str, number: int) -> None:
    """A value of a subclass of a JSON type is stored as that type, anywhere in an object."""
    value, kept = KEPT[number]
    run = store.create(make_run() | {field: {"x": value, "y": [value]}})
    assert json.loads(getattr(run, field)) == {"x": kept, "y": [kept]}


@every_kept
def test_unknown_field_is_kept_by_its_value(store: RunStore, make_run: MakeRun, number: int) -> None:
    """The same holds for unknown fields."""
    value, kept = KEPT[number]
    run = store.create(make_run(newer=value, extra=OrderedDict(older=value)))
    assert json.loads(run.extra or "") == {"newer": kept, "older": kept}


@every_refused
@pytest.mark.parametrize("field", ["metrics_json", "context_json", "extra"])
def test_what_is_no_json_fails_its_run_with_the_place(
    store: RunStore, make_run: MakeRun, field: str, number: int
) -> None:
    """Any other value fails only its run, however it behaves, and the error names its place in the object."""
    value = VALUES[number]
    ((named, error),) = refused_alone(store, make_run(), make_run() | {field: {"a": [0, value]}})
    assert named == field
    assert error.endswith("(at ['a'][1])")


@every_refused
def test_unknown_field_that_is_no_json_fails_its_run(store: RunStore, make_run: MakeRun, number: int) -> None:
    """An unknown field is checked as a part of extra."""
    value = VALUES[number]
    ((named, error),) = refused_alone(store, make_run(), make_run(newer=value))
    assert (named, error.endswith("(at ['newer'])")) == ("extra", True)


@every_foreign
@pytest.mark.parametrize(
    "field",
    [
        *("event_id", "run_id", "start_time", "product", "duration_ms", "status", "commit_hash", "commit_source"),
        *("metrics_json", "extra"),
    ],
)
def test_value_of_another_type_fails_its_run_by_its_field(
    store: RunStore, make_run: MakeRun, field: str, number: int
) -> None:
    """No field accepts a value of another type, or raises on one."""
    value = VALUES[number]
    ((named, error),) = refused_alone(store, make_run(), make_run() | {field: value})
    assert named == field
    assert "a Python " in error


@every_foreign
def test_run_that_is_no_object_is_named(store: RunStore, make_run: MakeRun, number: int) -> None:
    """A value in place of a run fails alone; a mapping other than ``dict`` is read as a run."""
    value = VALUES[number]
    assert refused_alone(store, make_run(), value)


def test_error_that_the_caller_handles_keeps_its_variables(store: RunStore, make_run: MakeRun) -> None:
    """A caller may report its own failure as a run, and the error to a service that shows variables."""
    try:
        _fail(42)
    except ValueError as error:
        rejected = store.ingest_lenient([make_run(duration_ms="long"), make_run()])
        frames = [frame.f_locals for frame, _ in traceback.walk_tb(error.__traceback__)]
    assert rejected.failed == 1
    assert frames[-1] == {"answer": 42}


def _fail(answer: int) -> None:
    raise ValueError(answer)


def test_reason_why_a_run_cannot_be_read_is_told(store: RunStore, make_run: MakeRun) -> None:
    """A mapping or a run that raises when read is reported with its exception."""
    told = [(None, "it cannot be read: a Python Broken raised a Python KeyError")]
    assert refused_alone(store, make_run(), Broken()) == told
    told = [(None, "it cannot be read: a Python Endless raised a Python RecursionError")]
    assert refused_alone(store, make_run(), Endless()) == told
    told = [(None, "it cannot be read: a Python OddRun raised a Python OSError")]
    assert refused_alone(store, make_run(), OddRun.__new__(OddRun)) == told
    told = [(None, "it cannot be read: a Python Run raised a Python AttributeError")]
    assert refused_alone(store, make_run(), Run.__new__(Run)) == told


@pytest.mark.parametrize(
    "kind", [OrderedDict, Object, UserDict, ChainMap, MappingProxyType, lambda run: defaultdict(int, run)]
)
def test_run_may_be_any_mapping(store: RunStore, make_run: MakeRun, kind: Callable[[Any], Any]) -> None:
    """A run consists of the items of its mapping."""
    run = make_run(newer=1)
    assert store.create(kind(run)) == store.create(run)


def test_fields_are_kept_by_their_values(store: RunStore, make_run: MakeRun) -> None:
    """Texts and numbers of subclasses are stored by value, and so are enumeration words."""
    sent = make_run(
        status=Word.FAILED,
        commit_source=Word.LLM,
        commit_hash=Word.HASH,
        end_time=Word.TIME,
        product=Text("text"),
        duration_ms=Number(7),
        items_failed=Level.HIGH,
    )
    run = store.create({Text(name): value for name, value in sent.items()})
    kept = (
        run.status,
        run.commit_source,
        run.commit_hash,
        run.end_time,
        run.product,
        run.duration_ms,
        run.items_failed,
    )
    assert kept == ("failure", "llm", "abcdef0", "2026-01-31T12:00:00.000000Z", "text", 7, 3)
    assert {type(run.product), type(run.commit_hash), type(run.end_time)} == {str}
    assert {type(run.duration_ms), type(run.items_failed)} == {int}


def test_count_is_an_integer(store: RunStore, make_run: MakeRun) -> None:
    """A boolean, a float and a text are not counts."""
    for value in (True, False, Float64(1.0), "1", Text("1")):
        ((named, _),) = refused_alone(store, make_run(), make_run(duration_ms=value))
        assert named == "duration_ms"


@pytest.mark.parametrize(
    "strange",
    [{1: 2}, {None: 1}, {(): 1}, {Text("run_id"): "again"}, {Liar(): 1}, {1: 2, "extra": {1: 2, "a": 1}, "a": 2}],
)
def test_run_with_strange_names_is_named(store: RunStore, make_run: MakeRun, strange: Any) -> None:
    """A name that is not a text, or is repeated, fails only its run."""
    ((named, error),) = refused_alone(store, make_run(), make_run() | strange)
    assert (named, "key" in error) == (None, True)


@every_foreign
def test_changes_and_commits_are_judged_alike(store: RunStore, make_run: MakeRun, number: int) -> None:
    """Updates and commits report such names as runs do, and change nothing."""
    value = VALUES[number]
    stored = store.create(make_run(run_id=f"judged {number}"))
    for field in ("status", "end_time", "items_failed", "metrics_json", "error_details"):
        with pytest.raises(InvalidChangesError, match=f"^{field} .*a Python "):
            store.update(stored.event_id, {field: value})
    for field in ("commit_author", "commit_timestamp"):
        with pytest.raises(InvalidCommitError, match=f"^{field} .*a Python "):
            store.associate_commit(stored.event_id, {"commit_hash": "abcdef0", "commit_source": "ci", field: value})
    for ask, refusal in ((store.update, InvalidChangesError), (store.associate_commit, InvalidCommitError)):
        # A value read as an empty object changes nothing, but is not a commit.
        if not any(type(value) is kind for kind in MAPPINGS) or ask is store.associate_commit:
            with pytest.raises(refusal):
                ask(stored.event_id, value)
    assert store.get(stored.run_id) == stored


def test_updates_are_kept_by_their_values(store: RunStore, make_run: MakeRun) -> None:
    """An update accepts the same values as a run."""
    stored = store.create(make_run())
    changed = store.update(stored.event_id, Object(status=Word.FAILED, metrics_json=Object(a=Float64(0.5))))
    assert (changed.status, changed.metrics_json) == ("failure", '{"a":0.5}')
    tied = store.associate_commit(stored.event_id, {"commit_hash": Word.HASH, "commit_source": Word.LLM})
    assert (tied.commit_hash, tied.commit_source) == ("abcdef0", "llm")


def test_stored_runs_of_a_subclass_can_be_sent_again(store: RunStore, make_run: MakeRun) -> None:
    """A run as read is existing without a conflict, even if the caller subclassed it."""
    stored = store.create(make_run(metrics_json={"a": 2**70}, newer="\0"))
    mine = type("Mine", (Run,), {})(**{name: getattr(stored, name) for name in Run.__annotations__})
    result = store.ingest_lenient([stored, mine])
    assert (result.existing, result.conflicts, result.runs) == (2, (), (stored, stored))


def test_refused_mapping_keeps_the_words_of_http(tmp_path: Path) -> None:
    """A class with a very long name does not make the message as long."""
    with open_store(tmp_path / "runs.db") as runs, pytest.raises(RunRefusedError) as refused:
        runs.create(type("x" * 10_000, (), {})())
    assert str(refused.value) == f"it must be a JSON object, not a Python {'x' * 60}"
