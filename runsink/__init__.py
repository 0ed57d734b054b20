"""What other programs may use of runsink. Every other module may change without notice.

The clients are imported when they are first used, so that whoever only opens a store does not load them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from core.errors import (
    BatchRolledBackError,
    BatchTooLargeError,
    EveryRunRefusedError,
    InvalidChangesError,
    InvalidCommitError,
    InvalidQueryError,
    NotABatchError,
    OutboxClosedError,
    OutboxError,
    OutboxFullError,
    ResponseTooLargeError,
    RunNotFoundError,
    RunRefusedError,
    RunsinkError,
    ServerUnreachableError,
    StoreBusyError,
    StoreClosedError,
    StoreDamagedError,
    StoreError,
    StoreForkedError,
    StoreFullError,
    StoreTimeoutError,
    StoreUnusableError,
)
from core.model.batch import BatchResult, Conflict, RefusedRun
from core.model.listing import Cursor, Metadata, MetadataRequest, Names, PageRequest, RunFilter, RunPage
from core.model.run import CommitSource, Run, Status
from core.model.validation_error import ErrorKind, ValidationError
from entrypoints.embedded import RunLike, RunStore, open_store

if TYPE_CHECKING:
    from adapters.api_client.errors import ApiError, InvalidResponseError, TruncatedResponseError
    from adapters.api_client.retry import RetryPolicy
    from adapters.outbox.intake import Queued
    from adapters.outbox.outbox import FlushResult
    from adapters.outbox.queue import Rejection
    from entrypoints.async_client import AsyncClient, AsyncRunHandle
    from entrypoints.client import Client, RunHandle

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncRunHandle",
    "BatchResult",
    "BatchRolledBackError",
    "BatchTooLargeError",
    "Client",
    "CommitSource",
    "Conflict",
    "Cursor",
    "ErrorKind",
    "EveryRunRefusedError",
    "FlushResult",
    "InvalidChangesError",
    "InvalidCommitError",
    "InvalidQueryError",
    "InvalidResponseError",
    "Metadata",
    "MetadataRequest",
    "Names",
    "NotABatchError",
    "OutboxClosedError",
    "OutboxError",
    "OutboxFullError",
    "PageRequest",
    "Queued",
    "RefusedRun",
    "Rejection",
    "ResponseTooLargeError",
    "RetryPolicy",
    "Run",
    "RunFilter",
    "RunHandle",
    "RunLike",
    "RunNotFoundError",
    "RunPage",
    "RunRefusedError",
    "RunStore",
    "RunsinkError",
    "ServerUnreachableError",
    "Status",
    "StoreBusyError",
    "StoreClosedError",
    "StoreDamagedError",
    "StoreError",
    "StoreForkedError",
    "StoreFullError",
    "StoreTimeoutError",
    "StoreUnusableError",
    "TruncatedResponseError",
    "ValidationError",
    "open_store",
]

_LAZY = {
    "ApiError": "adapters.api_client.errors",
    "AsyncClient": "entrypoints.async_client",
    "AsyncRunHandle": "entrypoints.async_client",
    "Client": "entrypoints.client",
    "FlushResult": "adapters.outbox.outbox",
    "InvalidResponseError": "adapters.api_client.errors",
    "Queued": "adapters.outbox.intake",
    "Rejection": "adapters.outbox.queue",
    "RetryPolicy": "adapters.api_client.retry",
    "RunHandle": "entrypoints.client",
    "TruncatedResponseError": "adapters.api_client.errors",
}
"""Where the names of the clients come from."""


def __getattr__(name: str) -> Any:
    """Import what belongs to the clients."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
