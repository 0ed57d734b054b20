"""The use cases of refused runs that are kept: what to keep of one, and listing them."""

from collections.abc import Callable

from core.model.batch import RefusedRun, Sent
from core.model.refusal import Refusal, RefusalFilter, RefusalPage, RefusalPageRequest
from core.model.run import Run, Timestamp
from core.ports.refusal_repository import RefusalRepository


def refusal_of(refused: RefusedRun, received_at: Timestamp, encode: Callable[[Run], bytes]) -> Refusal:
    """Return what is kept of a refused run.

    ``encode`` writes a run that was valid but refused, such as one before the retention horizon, as it could have been
    sent.
    """
    sent = refused.sent
    if isinstance(sent, Run):
        sent = Sent.of(encode(sent))
    return Refusal(received_at, refused.event_id, refused.run_id, refused.errors, sent.text if sent else "")


def list_refusals(which: RefusalFilter, request: RefusalPageRequest, refusals: RefusalRepository) -> RefusalPage:
    """Return a page of the matching refusals, the last one first."""
    return refusals.page(which, request)
