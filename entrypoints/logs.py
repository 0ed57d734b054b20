"""Configure logging for a server process: structlog formats the lines of every logger, and a thread writes them.

Everywhere else there is only ``logging.getLogger``, so a program that uses runsink in-process configures logging as it
likes. Of what clients send, a line has the request id and nothing else. See ``docs/reference/logging.md``.
"""

import asyncio
import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from structlog.dev import ConsoleRenderer
from structlog.processors import JSONRenderer
from structlog.stdlib import ExtraAdder, ProcessorFormatter
from structlog.types import EventDict, Processor

from adapters.line_writer import LineWriter
from core.errors import StoreError
from entrypoints.exits import REJECTED, printable
from entrypoints.request_ids import current_request_id
from entrypoints.settings import Settings

FLUSH_SECONDS: Final = 2.0
"""How long a process that ends waits for the reader of its log."""

MAX_FRAMES: Final = 30
MAX_CAUSES: Final = 10
MAX_EXCEPTION_CHARACTERS: Final = 8_000
"""What a line shows of an exception: the last calls, the nearest causes, and the end of the text."""

FIELDS: Final[Mapping[str, str]] = {
    "timestamp": "when it happened, in UTC",
    "level": "`debug`, `info`, `warning`, `error` or `critical`",
    "event": "what happened",
    "logger": "`runsink`, `runsink.requests` for the lines of requests, or the library that logged",
    "pid": "the process; with `--workers`, the worker or the supervisor",
    "request_id": "the request's id, if the line belongs to a request",
    "method": "the method of the request; `other` for one that HTTP does not define",
    "route": "the template of the path, such as `/api/v1/runs/{run_id}`; absent if there is none",
    "status": "the status of the response; absent if the client left before it",
    "duration_ms": "milliseconds from the head of the request to the end of the response",
    "bytes_in": "bytes of the request's body as they arrived",
    "bytes_out": "bytes of the response, head included",
    "client": "the name of the token, else the address of the client",
    "reason": "why a request failed with a status of 500 or more",
    "url": "where the server listens",
    "database": "the file, or the URL without password and parameters",
    "version": "the version of runsink",
    "workers": "the number of worker processes",
    "worker": "the pid of the worker that the line is about",
    "job_id": "the background job",
    "state": "the state in which the job ended",
    "runs_created": "runs that the job stored",
    "runs_existing": "runs of the job that were stored before",
    "runs_failed": "runs of the job that were rejected",
    "dropped": "lines that were dropped because nobody read the log",
    "exception": "the type of an error and the calls that led to it, causes first",
}
"""Every field of a line, with its meaning. Other attributes of records are not shown."""

_BY_EVERY_LINE: Final = ("timestamp", "level", "event", "logger", "pid", "request_id", "exception")

_TELLING: Final = (StoreError, OSError, ImportError, AttributeError, NameError, ArithmeticError, RuntimeError)
"""Errors whose messages quote nothing that clients sent. Those of others, such as ``ValueError``, may."""

_log: Final = logging.getLogger("runsink")


class LineHandler(logging.Handler):
    """Formats records in the thread that logs and hands them to a thread that writes."""

    def __init__(self, formatter: logging.Formatter, descriptor: int) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._descriptor = descriptor
        self.writer = self._new_writer()

    def renew(self) -> None:
        """Begin with an empty queue: what the process inherited is written by the one that it was forked from."""
        self.writer = self._new_writer()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the line of a record, or where it came from if it cannot be formatted."""
        try:
            line = self._line_of(record)
        except Exception:  # noqa: BLE001 - whatever is wrong with it, logging must not fail the caller
            place = f"{os.path.basename(record.pathname)}:{record.lineno}"  # noqa: PTH119 - a text is wanted
            line = self._line_of(_record(logging.ERROR, f"a line of the log could not be formatted: {place}"))
        self.writer.put(line)

    def _new_writer(self) -> LineWriter:
        return LineWriter(self._descriptor, self._report)

    def _report(self, dropped: int) -> bytes:
        text = "lines of the log were dropped because nobody read it"
        return self._line_of(_record(logging.WARNING, text, dropped=dropped))

    def _line_of(self, record: logging.LogRecord) -> bytes:
        return self.format(record).encode(errors="backslashreplace") + b"\n"


@contextmanager
def logging_to_stderr(settings: Settings) -> Iterator[None]:
    """Log to stderr for the length of the block, and flush at its end, for at most ``FLUSH_SECONDS``.

    An error that leaves the block is logged, and ends the process with status 1.
    """
    if sys.stderr is None:  # type: ignore[unreachable, unused-ignore] # the process was started without it
        yield
        return
    handler = LineHandler(_formatter(settings.log_format, sys.stderr), sys.stderr.fileno())
    level = logging.getLevelName(settings.log_level.upper())
    root = logging.getLogger()
    root.addHandler(handler)
    # Libraries say at lower levels what nobody asked for, and what has not been looked at for secrets.
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger("runsink").setLevel(level)
    logging.captureWarnings(capture=True)
    threading.excepthook = _log_thread_error
    sys.unraisablehook = _log_ignored_error
    try:
        with _flushed(handler):
            yield
    finally:
        sys.unraisablehook, threading.excepthook = sys.__unraisablehook__, threading.__excepthook__
        logging.captureWarnings(capture=False)
        root.removeHandler(handler)


@contextmanager
def logging_in_worker() -> Iterator[None]:
    """Log from a process that was forked, as in ``logging_to_stderr``, with a queue and a thread of its own."""
    handler = _handler()
    if handler is None:
        yield
        return
    handler.renew()
    with _flushed(handler):
        yield


@contextmanager
def logging_suspended() -> Iterator[None]:
    """Stop the thread for the length of the block, in which the process is forked; lines wait meanwhile."""
    handler = _handler()
    if handler is not None:
        handler.writer.stop(within=0)
    try:
        yield
    finally:
        if handler is not None:
            handler.writer.start()


def dropped_lines() -> int:
    """Return how many lines of this process's log were dropped because nobody read it."""
    handler = _handler()
    return 0 if handler is None else handler.writer.dropped


def log_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error that nobody awaited (an exception handler of event loops)."""
    # asyncio's message may quote the arguments of a callback.
    text = str(context["message"]).partition("(")[0]
    _log.error("error in the event loop: %s", text, exc_info=context.get("exception"))


def _handler() -> LineHandler | None:
    return next((handler for handler in logging.getLogger().handlers if isinstance(handler, LineHandler)), None)


@contextmanager
def _flushed(handler: LineHandler) -> Iterator[None]:
    handler.writer.start()
    try:
        yield
    except Exception as error:
        _log.critical("the process crashed", exc_info=error)
        raise SystemExit(REJECTED) from error
    finally:
        handler.writer.stop(FLUSH_SECONDS)


def _record(level: int, text: str, **fields: object) -> logging.LogRecord:
    return logging.getLogger("runsink").makeRecord("runsink", level, __file__, 0, text, (), None, extra=fields)


def _log_thread_error(args: threading.ExceptHookArgs) -> None:
    name = "unknown" if args.thread is None else args.thread.name
    _log.critical("thread %s crashed", name, exc_info=args.exc_value)


def _log_ignored_error(args: "sys.UnraisableHookArgs") -> None:
    _log.error("error in a finalizer", exc_info=args.exc_value)


def _formatter(kind: str, stream: TextIO) -> ProcessorFormatter:
    """Return the formatter for a stream; ``auto`` is text on a terminal and JSON elsewhere."""
    processors: list[Processor] = [
        _identify,
        ExtraAdder([name for name in FIELDS if name not in _BY_EVERY_LINE]),
        _add_exception,
        ProcessorFormatter.remove_processors_meta,
    ]
    if kind == "text" or (kind == "auto" and stream.isatty()):
        colors = stream.isatty() and not os.environ.get("NO_COLOR")
        processors += [_escape, ConsoleRenderer(colors=colors, sort_keys=False)]
    else:
        # ASCII alone: neither a terminal nor a shipper can be misled by what a text contains.
        processors += [JSONRenderer(serializer=json.dumps)]
    return ProcessorFormatter(processors=processors)


def _identify(_logger: object, level: str, event: EventDict) -> EventDict:
    """Return what every line says: when, how grave, what, and of which process and request."""
    record: logging.LogRecord = event["_record"]
    moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
    found = {
        "timestamp": moment.replace("+00:00", "Z"),
        "level": level,
        "event": _text_of(record, event),
        "logger": record.name,
        "pid": record.process,
    }
    if (request_id := getattr(record, "request_id", None) or current_request_id()) is not None:
        found["request_id"] = request_id
    return {**found, **{name: value for name, value in event.items() if name not in found}}


def _text_of(record: logging.LogRecord, event: EventDict) -> str:
    text = str(event["event"])
    # Further lines of libraries show values: source lines, futures, and what these hold.
    return text if record.name.partition(".")[0] == "runsink" else text.partition("\n")[0]


def _add_exception(_logger: object, _level: str, event: EventDict) -> EventDict:
    """Replace ``exc_info`` by the text of the exception."""
    given = event.pop("exc_info", None)
    error = given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event["exception"] = _describe_chain(error)
    return event


def _describe_chain(error: BaseException) -> str:
    """Return an exception and its causes as Python shows them, without messages that may quote what clients sent."""
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None and len(parts) < MAX_CAUSES:
        parts.append(_describe_error(current))
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n\n".join(reversed(parts))[-MAX_EXCEPTION_CHARACTERS:]


def _describe_error(error: BaseException) -> str:
    frames = traceback.format_list(traceback.extract_tb(error.__traceback__, limit=-MAX_FRAMES))
    kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    return "".join(frames) + (f"{kind}: {printable(error)}" if isinstance(error, _TELLING) else kind)


def _escape(_logger: object, _level: str, event: EventDict) -> EventDict:
    """Escape what would command a terminal; a traceback keeps its lines."""
    return {
        name: printable(value) if isinstance(value, str) and name != "exception" else value
        for name, value in event.items()
    }
