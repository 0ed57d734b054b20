"""Everything that can go wrong, as one family. Each error carries its data in typed attributes."""

from core.model.batch import BatchResult, RefusedRun
from core.model.validation_error import ValidationError


class RunsinkError(Exception):
    """The base of every error that this product raises on purpose."""


class NotABatchError(RunsinkError):
    """A document is well formed, but it is not a batch. ``field`` is the invalid field, or ``None`` for the whole."""

    def __init__(self, field: str | None, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


class BatchTooLargeError(RunsinkError):
    """A batch holds more runs than one batch may."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"Batch size {size} exceeds maximum limit of {limit} runs")
        self.size = size
        self.limit = limit


class EveryRunRefusedError(RunsinkError):
    """Not one run of a lenient batch could be taken, so nothing was stored."""

    def __init__(self, result: BatchResult) -> None:
        super().__init__(f"None of the {result.total} runs is valid; nothing was stored")
        self.result = result


class BatchRolledBackError(RunsinkError):
    """A run of an atomic batch was refused, so nothing of the batch was stored."""

    def __init__(self, result: BatchResult) -> None:
        first = result.refused[0]
        super().__init__(
            f"Batch transaction failed (rolled back): {len(result.refused)} of {result.total} runs refused; "
            f"the first is run {first.index}: {first.errors[0]}"
        )
        self.result = result


class ResponseTooLargeError(RunsinkError):
    """The stored runs that an upload asks back are too large together, so nothing was stored."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"the runs of the response have more than {limit} bytes (max_response_bytes), since some were stored "
            "before; nothing was stored; send smaller batches, or ask for a response without runs"
        )
        self.limit = limit


class RunRefusedError(RunsinkError):
    """A single run breaks the rules and was not stored."""

    def __init__(self, refused: RefusedRun) -> None:
        super().__init__("; ".join(map(str, refused.errors)))
        self.refused = refused


class InvalidFieldsError(RunsinkError):
    """Fields of something other than a run break their rules; nothing was done."""

    def __init__(self, errors: tuple[ValidationError, ...]) -> None:
        super().__init__("; ".join(map(str, errors)))
        self.errors = errors


class InvalidChangesError(InvalidFieldsError):
    """An update names fields that cannot change, or values that break their rules."""


class InvalidCommitError(InvalidFieldsError):
    """A commit association lacks a field or has one that breaks its rule."""


class InvalidQueryError(InvalidFieldsError):
    """A query for runs names an unknown filter or a value that breaks its rule."""


class RunNotFoundError(RunsinkError):
    """No stored run has this ``event_id`` or ``run_id``."""

    def __init__(self, key: str) -> None:
        super().__init__(f"Run not found: {key}")
        self.key = key


class StoreError(RunsinkError):
    """The store failed; nothing of the unit of work was kept, unless the message says that nobody knows."""


class StoreBusyError(StoreError):
    """The store is locked by another process, or not to be reached; the same request may succeed in a moment."""


class TransactionConflictError(StoreBusyError):
    """Another process touched the same runs; the whole unit of work may be carried out again, at once."""


class StoreFullError(StoreError):
    """The disk is full; writes succeed again as soon as there is room."""


class StoreTimeoutError(StoreError):
    """Reading took longer than ``max_read_seconds`` allows; it was given up and may succeed when it asks for less."""

    def __init__(self) -> None:
        super().__init__(
            "reading took longer than max_read_seconds allows; "
            "ask for less: a shorter time range, or a page without a total"
        )


class ReadCancelledError(StoreError):
    """Nobody waits for what was being read, so it was given up."""

    def __init__(self) -> None:
        super().__init__("reading was cancelled")


class StoreDamagedError(StoreError):
    """What the store kept is damaged; the message says what to do, and nothing was changed."""


class StoreClosedError(StoreError):
    """The store was closed before; nothing was done."""

    def __init__(self) -> None:
        super().__init__("the store is closed; open it again to use it")


class StoreForkedError(StoreError):
    """The store was opened by the process from which this one was forked; nothing was done."""

    def __init__(self) -> None:
        super().__init__("the store was opened before this process was forked; open it again in this process")


class StoreUnusableError(StoreError):
    """The store cannot be opened; the message says why and what to do, in one line."""


class ServerUnreachableError(RunsinkError):
    """No connection to the server, or it broke before the response; nobody knows whether the request was carried out.

    Sending the same request again is safe.
    """


class OutboxError(RunsinkError):
    """The durable queue of a client failed; what was to be queued is not kept."""


class OutboxFullError(OutboxError):
    """So much waits for delivery that nothing more is taken; what waits is kept."""


class OutboxClosedError(OutboxError):
    """The queue was closed before; nothing was queued."""

    def __init__(self) -> None:
        super().__init__("the client is closed; make another to use it")
