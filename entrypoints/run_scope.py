"""One run around a block of code: what to report when it begins and when it ends, and which run is the parent."""

import asyncio
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token, copy_context
from datetime import UTC, datetime, timedelta
from typing import Any, Final, ParamSpec, TypeVar
from uuid import uuid4

_P = ParamSpec("_P")
_T = TypeVar("_T")

MAX_SUMMARY_CHARACTERS: Final = 500
MAX_TRACEBACK_CHARACTERS: Final = 32_000

_current_run: ContextVar[str | None] = ContextVar("runsink_current_run", default=None)
"""The ``run_id`` of the innermost block in this task or thread."""

_CANCELLED: Final = (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)


class RunScope:
    """The report of one block. It sends nothing itself."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = dict(fields)
        self.event_id = str(self._fields.get("event_id") or uuid4())
        self.run_id = str(self._fields.get("run_id") or uuid4())
        self._status_given = False
        self._token: Token[str | None] | None = None
        self._started = datetime.now(UTC)
        self._started_at = time.monotonic()

    def enter(self) -> dict[str, Any]:
        """Become the current run; return what to create."""
        self._started, self._started_at = datetime.now(UTC), time.monotonic()
        run = {
            "start_time": self._started.isoformat(),
            "status": "running",
            "parent_run_id": _current_run.get(),
            **self._fields,
            "event_id": self.event_id,
            "run_id": self.run_id,
        }
        self._token = _current_run.set(self.run_id)
        return run

    def leave(self) -> None:
        """Make the run before the current one again."""
        if self._token is not None:
            # An asynchronous generator may be closed in another context than the one it began in.
            with suppress(ValueError):
                _current_run.reset(self._token)
            self._token = None

    def note(self, changes: Mapping[str, Any]) -> None:
        """Take notice of changes that the block itself reports."""
        self._status_given |= "status" in changes

    def outcome(self, error: BaseException | None) -> dict[str, Any]:
        """Return what to change when the block ends, by an error or without one."""
        elapsed = time.monotonic() - self._started_at
        ended: dict[str, Any] = {
            "end_time": (self._started + timedelta(seconds=elapsed)).isoformat(),
            "duration_ms": round(elapsed * 1000),
        }
        if error is None or (isinstance(error, SystemExit) and error.code in {None, 0}):
            return ended if self._status_given else {"status": "success", **ended}
        status = "cancelled" if isinstance(error, _CANCELLED) else "failure"
        return {"status": status, **ended, "error_summary": summary_of(error), "error_details": details_of(error)}

    def bind(self, function: Callable[_P, _T]) -> Callable[_P, _T]:
        """Return the function so that it runs inside this run, in whichever thread it is called."""
        context = copy_context()
        context.run(_current_run.set, self.run_id)

        def bound(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            # A context can be entered by one thread at a time, so each call has a copy.
            return context.copy().run(function, *args, **kwargs)

        return bound


def summary_of(error: BaseException) -> str:
    """Return the class and the message of an error, in one short text."""
    text = _storable("".join(traceback.format_exception_only(type(error), error)).strip())
    return text if len(text) <= MAX_SUMMARY_CHARACTERS else f"{text[: MAX_SUMMARY_CHARACTERS - 1]}…"


def details_of(error: BaseException) -> str:
    """Return the traceback of an error; of a long one the beginning and the end."""
    text = _storable("".join(traceback.format_exception(error)))
    if len(text) <= MAX_TRACEBACK_CHARACTERS:
        return text
    half = MAX_TRACEBACK_CHARACTERS // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters are left out …\n{text[-half:]}"


def _storable(text: str) -> str:
    """The text without what no field can hold: NUL, and lone surrogates."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
