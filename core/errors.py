"""The exception hierarchy. Each error carries its data in typed attributes."""

from core.model.batch import BatchResult, RefusedRun
from core.model.validation_error import ValidationError


class RunsinkError(Exception):
    """Base class of every error that runsink raises deliberately."""


class NotABatchError(RunsinkError):
    """The document is well formed but not a batch. ``field`` is the invalid field, or ``None`` for the whole."""

    def __init__(self, field: str | None, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


class BatchTooLargeError(RunsinkError):
    """The batch has more runs than allowed."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"Batch size {size} exceeds maximum limit of {limit} runs")
        self.size = size
        self.limit = limit


class EveryRunRefusedError(RunsinkError):
    """No run of a lenient batch is valid; nothing was stored."""

    def __init__(self, result: BatchResult) -> None:
        super().__init__(f"None of the {result.total} runs is valid; nothing was stored")
        self.result = result


class BatchRolledBackError(RunsinkError):
    """At least one run of an atomic batch is invalid; nothing was stored."""

    def __init__(self, result: BatchResult) -> None:
        first = result.refused[0]
        super().__init__(
            f"Batch transaction failed (rolled back): {len(result.refused)} of {result.total} runs rejected; "
            f"the first is run {first.index}: {first.errors[0]}"
        )
        self.result = result


class ResponseTooLargeError(RunsinkError):
    """The stored runs that an upload asks for are too large together; nothing was stored."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"the response would exceed {limit} bytes (max_response_bytes) because some runs were stored before; "
            "nothing was stored; send smaller batches, or ask for a response without runs"
        )
        self.limit = limit


class RunRefusedError(RunsinkError):
    """A single run is invalid and was not stored."""

    def __init__(self, refused: RefusedRun) -> None:
        super().__init__("; ".join(map(str, refused.errors)))
        self.refused = refused


class InvalidFieldsError(RunsinkError):
    """Fields of something other than a run are invalid; nothing was done."""

    def __init__(self, errors: tuple[ValidationError, ...]) -> None:
        super().__init__("; ".join(map(str, errors)))
        self.errors = errors


class InvalidChangesError(InvalidFieldsError):
    """An update has an immutable field or an invalid value."""


class InvalidCommitError(InvalidFieldsError):
    """A commit association has a missing or invalid field."""


class InvalidQueryError(InvalidFieldsError):
    """A query for runs has an unknown filter or an invalid value."""


class HorizonError(RunsinkError):
    """The retention horizon may not be raised to this instant; nothing was done. The message says why."""


class RunNotFoundError(RunsinkError):
    """No stored run has this ``event_id`` or ``run_id``."""

    def __init__(self, key: str) -> None:
        super().__init__(f"Run not found: {key}")
        self.key = key


class JobNotFoundError(RunsinkError):
    """No job has this id."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Job not found: {job_id}")
        self.job_id = job_id


class StreamTooLargeError(RunsinkError):
    """A stream is larger than may be read in the form in which it was sent; the message says what to do."""


class SpoolFullError(RunsinkError):
    """The spool holds as many bytes as it may; there is room again as soon as jobs are finished."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"the spool is full: the bodies of all jobs may have {limit} bytes (spool-bytes); "
            "send it again when jobs are finished, or without Prefer: respond-async"
        )
        self.limit = limit


class StoreError(RunsinkError):
    """The store failed. The unit of work was rolled back, unless the message says that the outcome is unknown."""


class StoreBusyError(StoreError):
    """The store is locked by another process or cannot be reached. A retry may succeed in a moment."""


class TransactionConflictError(StoreBusyError):
    """Another process touched the same runs. The whole unit of work can be retried at once."""


class StoreFullError(StoreError):
    """The disk is full. Writes succeed again once there is space."""


class StoreTimeoutError(StoreError):
    """The read exceeded ``max_read_seconds`` and was cancelled. Asking for less may succeed."""

    def __init__(self) -> None:
        super().__init__(
            "the read exceeded max_read_seconds; ask for less: a shorter time range, or a page without a total"
        )


class ReadCancelledError(StoreError):
    """The read was cancelled because nobody is waiting for it."""

    def __init__(self) -> None:
        super().__init__("the read was cancelled")


class StoreDamagedError(StoreError):
    """Stored data is damaged. Nothing was changed; the message says what to do."""


class StoreClosedError(StoreError):
    """The store is closed; nothing was done."""

    def __init__(self) -> None:
        super().__init__("the store is closed; open it again to use it")


class StoreForkedError(StoreError):
    """The store was opened before this process was forked; nothing was done."""

    def __init__(self) -> None:
        super().__init__("the store was opened before this process was forked; open it again in this process")


class StoreUnusableError(StoreError):
    """The store cannot be opened. The message says why and what to do, in one line.

    ``retryable`` says whether the same may succeed later: the store is locked or cannot be reached.
    """

    def __init__(self, reason: str, *, retryable: bool = False) -> None:
        super().__init__(reason)
        self.retryable = retryable


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
