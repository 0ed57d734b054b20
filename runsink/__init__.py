"""The public API of runsink. All other modules may change without notice.

The clients are imported when first used, so that opening a store does not load them.
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
from core.model.statistics import Bucket, Durations, FacetField, Facets, FacetValue, Statistics
from core.model.summary import RunSummary
from core.model.tree import Cause, RolledUpCommit, Rollup, Tree, TreeNode
from core.model.validation_error import ErrorKind, ValidationError
from entrypoints.embedded import RunLike, RunStore, open_store

if TYPE_CHECKING:
    from adapters.api_client.errors import ApiError, InvalidResponseError, TruncatedResponseError
    from adapters.api_client.retry import RetryPolicy
    from adapters.outbox.intake import Queued
    from adapters.outbox.outbox import FlushResult
    from adapters.outbox.queue import OutboxBounds, Rejection
    from entrypoints.async_client import AsyncClient, AsyncRunHandle
    from entrypoints.client import Client, RunHandle

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncRunHandle",
    "BatchResult",
    "BatchRolledBackError",
    "BatchTooLargeError",
    "Bucket",
    "Cause",
    "Client",
    "CommitSource",
    "Conflict",
    "Cursor",
    "Durations",
    "ErrorKind",
    "EveryRunRefusedError",
    "FacetField",
    "FacetValue",
    "Facets",
    "FlushResult",
    "InvalidChangesError",
    "InvalidCommitError",
    "InvalidQueryError",
    "InvalidResponseError",
    "Metadata",
    "MetadataRequest",
    "Names",
    "NotABatchError",
    "OutboxBounds",
    "OutboxClosedError",
    "OutboxError",
    "OutboxFullError",
    "PageRequest",
    "Queued",
    "RefusedRun",
    "Rejection",
    "ResponseTooLargeError",
    "RetryPolicy",
    "RolledUpCommit",
    "Rollup",
    "Run",
    "RunFilter",
    "RunHandle",
    "RunLike",
    "RunNotFoundError",
    "RunPage",
    "RunRefusedError",
    "RunStore",
    "RunSummary",
    "RunsinkError",
    "ServerUnreachableError",
    "Statistics",
    "Status",
    "StoreBusyError",
    "StoreClosedError",
    "StoreDamagedError",
    "StoreError",
    "StoreForkedError",
    "StoreFullError",
    "StoreTimeoutError",
    "StoreUnusableError",
    "Tree",
    "TreeNode",
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
    "OutboxBounds": "adapters.outbox.queue",
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
