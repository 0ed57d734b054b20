"""What is kept of a refused run."""

from adapters.memory import MemoryStore
from core.model.batch import RefusedRun, Sent
from core.model.refusal import Refusal, RefusalFilter, RefusalPage, RefusalPageRequest
from core.model.run import Run, Timestamp
from core.model.validation_error import ValidationError
from core.use_cases.refusals import list_refusals, refusal_of
from tests.contract.samples import at, sample_run

NOW = Timestamp(at(9))
ERRORS = (ValidationError("start_time", "is bad"),)


def encode(run: Run) -> bytes:
    """Write a run in a way that a test recognises."""
    return f"<{run.event_id}>".encode()


def test_what_was_sent_is_kept() -> None:
    """With the ids, the errors and the time."""
    refused = RefusedRun(3, "e", "r", ERRORS, sent=Sent.of(b"{}"))
    assert refusal_of(refused, NOW, encode) == Refusal(NOW, "e", "r", ERRORS, "{}")


def test_a_valid_run_that_was_refused_is_written_anew() -> None:
    """Of a run before the retention horizon nothing but the run is left."""
    refused = RefusedRun(3, "e", "r", ERRORS, sent=sample_run("e"))
    assert refusal_of(refused, NOW, encode).body == "<e>"


def test_a_page_is_that_of_the_repository() -> None:
    """The last one first."""
    repository = MemoryStore().refusals(5)
    kept = [Refusal(NOW, name, None, ERRORS, "{}") for name in "abc"]
    repository.add(kept)
    page = list_refusals(RefusalFilter(), RefusalPageRequest(limit=2), repository)
    assert page == RefusalPage((kept[2], kept[1]), page.next_cursor)
    assert page.next_cursor is not None
