"""The tables of the reference agree with the code."""

import inspect
import json
import re
from collections.abc import Iterator

import pytest

import runsink
from core.model.run import FIELDS
from entrypoints.http.messages import responses
from tests.docs import http_reference
from tests.docs.pages import DOCS, names_in, table_under
from tests.servers import MakeRun

REFERENCE = DOCS / "reference"
OF_NO_REQUEST = {"405", "417", "431"}
"""Statuses that belong to no single request of the OpenAPI document, which has them in its description."""

LONG_VALUES = {
    "contains an integer": ("metrics_json", {"n": 10**4300}),
    "is nested deeper": ("context_json", json.loads('{"a":' * 101 + "1" + "}" * 101)),
    "has … characters": ("item_name", "x" * (2**19 + 1)),
    "has more than": ("extra", {"a": "x" * 2**20}),
}
"""What causes the messages whose examples are too long for the table."""

MESSAGES = table_under(REFERENCE / "errors.md", "About fields")


def test_http_page_is_made_of_the_openapi_document() -> None:
    """``python -m tests.docs.http_reference`` would change nothing."""
    assert http_reference.PAGE.read_text(encoding="utf-8") == http_reference.render(http_reference.read_document())


def test_every_status_is_explained() -> None:
    """The table of responses has exactly the statuses of the OpenAPI document, and those that it only mentions."""
    document = http_reference.read_document()
    documented = {status for _, _, one in http_reference.operations(document) for status in one["responses"]}
    rows = table_under(REFERENCE / "responses.md", "Statuses")
    explained = {status for row in rows for status in re.findall(r"\b[2-5]\d\d\b", row[0])}
    assert explained == documented | OF_NO_REQUEST


def test_fields_are_those_of_a_run() -> None:
    """Each field once."""
    named = [name for row in table_under(REFERENCE / "run.md", "Fields") for name in names_in(row[0])]
    assert sorted(named) == sorted(FIELDS)


def test_errors_over_http_have_the_documented_status() -> None:
    """Exactly the errors that the server turns into statuses, each with its own."""
    known = {kind.__name__: str(status.value) for kind, status, _ in responses._TABLE}  # noqa: SLF001
    documented = {names_in(row[1])[0]: row[0] for row in table_under(REFERENCE / "errors.md", "Over HTTP")}
    assert documented == known


def test_errors_in_python_are_documented() -> None:
    """Every public error is in one of the two tables, and what is said to be of HTTP only is not public."""
    over_http = table_under(REFERENCE / "errors.md", "Over HTTP")
    public = [names_in(row[1])[0] for row in over_http if "HTTP only" not in row[1]]
    public += [names_in(row[0])[0] for row in table_under(REFERENCE / "errors.md", "In Python only")]
    errors = [name for name in runsink.__all__ if isinstance(getattr(runsink, name), type)]
    assert sorted(public) == sorted(name for name in errors if issubclass(getattr(runsink, name), Exception))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[runsink.RunStore]:
    """Open an empty store."""
    with runsink.open_store(tmp_path_factory.mktemp("errors") / "runs.db") as opened:
        yield opened


@pytest.mark.parametrize("row", MESSAGES, ids=lambda row: names_in(row[0])[0][:30])
def test_messages_about_fields_are_as_documented(store: runsink.RunStore, make_run: MakeRun, row: list[str]) -> None:
    """Each message of the table is what its example gets."""
    (message,) = names_in(row[0])
    if not names_in(row[1]):
        field, value = next(sent for start, sent in LONG_VALUES.items() if message.startswith(start))
    else:
        ((field, value),) = json.loads("{" + names_in(row[1])[0] + "}").items()
    with pytest.raises(runsink.RunRefusedError) as refusal:
        store.create(make_run(**{field: value}))
    pattern = ".*".join(map(re.escape, re.split(r"…(?!\+)", f"{field} {message}")))
    assert [error for error in refusal.value.refused.errors if re.fullmatch(pattern, str(error))], refusal.value


def test_python_names_are_documented() -> None:
    """The page has every public name but the errors, and every method of a store and of a block's run."""
    rows = table_under(REFERENCE / "python.md", "Names")
    documented = [name for row in rows for name in names_in(row[0])]
    errors = [name for name in runsink.__all__ if name.endswith("Error") and name != "ValidationError"]
    assert sorted(documented + errors) == sorted(runsink.__all__)
    for row in rows:
        if names_in(row[0])[0] in {"RunStore", "RunHandle"}:
            members = inspect.getmembers_static(getattr(runsink, names_in(row[0])[0]))
            described = {name for name in names_in(row[1]) if "." not in name}
            assert described == {name for name, _ in members if not name.startswith("_")}


def test_calls_of_the_clients_are_documented() -> None:
    """The table of calls has every method of both clients but ``run``, which has a chapter of its own."""
    rows = table_under(REFERENCE / "python.md", "Calls")
    calls = {re.split(r"\W", name)[0] for row in rows for name in names_in(row[0])}
    for client in (runsink.Client, runsink.AsyncClient):
        methods = {name for name, member in inspect.getmembers_static(client) if inspect.isfunction(member)}
        assert calls | {"run"} == {name for name in methods if not name.startswith("_")}
