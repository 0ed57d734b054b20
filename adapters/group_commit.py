"""One thread that writes for all: what waits while one transaction is committed shares the next."""

import logging
import random
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

import attrs

from adapters.lifetime import Lifetime
from core.errors import StoreBusyError, StoreError, TransactionConflictError
from core.ports.store import Store
from core.ports.unit_of_work import UnitOfWork

MAX_COMMANDS_PER_COMMIT = 64

IDLE_SECONDS = 1.0
"""How often housekeeping is looked at while nobody writes: a reader may have held it up and be gone now."""

CUT_SECONDS = 0.2
"""How long closing waits for the command that is under way when its time is over."""

MAX_ATTEMPTS = 10
"""How often a unit of work is carried out that keeps meeting those of other processes."""

FIRST_PAUSE_SECONDS = 0.005
"""The longest pause after the first attempt; it doubles with each, to 1.3 seconds before the last."""

_log = logging.getLogger("runsink")


_T = TypeVar("_T")


@attrs.frozen
class _Submitted:
    """A command and where its outcome goes."""

    command: Callable[[UnitOfWork], Any]
    future: "Future[Any]"


@attrs.frozen
class _Outcome:
    """What a command returned, or the error it ended with."""

    value: Any = None
    error: BaseException | None = None

    def deliver(self, future: "Future[Any]") -> None:
        if self.error is None:
            future.set_result(self.value)
        else:
            future.set_exception(self.error)


class GroupCommitWriter:
    """Carries out commands against a store, one after the other, several to a commit.

    Each command has a savepoint of its own: one that raises undoes only itself. No future is done before the
    commit, so a result means that it is durable. Nothing waits for company: a lone command is committed at once.

    A command may be carried out several times, each time in a new unit of work after the one before was undone, so
    it does nothing but work in it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lifetime = Lifetime()
        self._waiting: SimpleQueue[_Submitted | None] = SimpleQueue()
        self._closing = False
        self._housekeeping_fails = False
        self._cutting = False
        self._thread = Thread(target=self._run, name="runsink-writer", daemon=True)
        self._thread.start()

    def submit(self, command: Callable[[UnitOfWork], _T]) -> "Future[_T]":
        """Have a command carried out; from any thread.

        The future gets what the command returns or raises, or a ``StoreError`` when the commit failed, in which
        case nothing of the command was kept.

        Raises:
            StoreClosedError: after ``close``.
            StoreForkedError: in a process that was forked since, which has no such thread.
        """
        future: Future[_T] = Future()
        # A caller that stops waiting does not take back what it submitted.
        future.set_running_or_notify_cancel()
        # What is in the queue before the end is carried out; nothing gets in behind it.
        with self._lifetime:
            self._waiting.put(_Submitted(command, future))
        return future

    def close(self, within: float | None = None) -> bool:
        """Carry out what was submitted, then end the thread. Closing again waits for the same end.

        What has not begun ``within`` so many seconds ends with ``StoreBusyError``. False says that a command is still
        under way, waiting for the store; then the store may not be closed, and the thread ends with the process.
        """
        if self._lifetime.end():
            self._waiting.put(None)
        self._thread.join(within)
        self._cutting = True
        self._thread.join(None if within is None else CUT_SECONDS)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._closing:
            group = self._next_group()
            for submitted, outcome in zip(group, self._carry_out(group), strict=True):
                outcome.deliver(submitted.future)
            self._maintain()

    def _next_group(self) -> Sequence[_Submitted]:
        """Wait a while for one command, then take all that wait behind it, up to the limit of one commit."""
        group: list[_Submitted] = []
        try:
            submitted = self._waiting.get(timeout=IDLE_SECONDS)
        except Empty:
            return group
        while submitted is not None:
            group.append(submitted)
            if len(group) == MAX_COMMANDS_PER_COMMIT:
                return group
            try:
                submitted = self._waiting.get_nowait()
            except Empty:
                return group
        self._closing = True
        return group

    def _maintain(self) -> None:
        try:
            self._store.maintain(quiet=self._waiting.empty())
        except StoreError:
            # Nobody waits for it, it is tried again in a moment, and writing goes on meanwhile.
            if not self._housekeeping_fails:
                _log.exception("housekeeping of the store failed; it is tried again until it succeeds")
            self._housekeeping_fails = True
        else:
            self._housekeeping_fails = False

    def _carry_out(self, group: Sequence[_Submitted]) -> Sequence[_Outcome]:
        if not group:
            return ()
        if self._cutting:
            return [_Outcome(error=StoreBusyError("the server stopped before this could be written"))] * len(group)
        try:
            return self._repeat(group)
        except BaseException as error:  # noqa: BLE001 - whatever it is, every waiting caller has to hear of it
            return [_Outcome(error=error)] * len(group)

    def _repeat(self, group: Sequence[_Submitted]) -> Sequence[_Outcome]:
        """Carry the group out, again and again while others are in its way."""
        for attempt in range(MAX_ATTEMPTS - 1):
            try:
                return self._attempt_all(group)
            except TransactionConflictError:
                # Of a random length, or those that met once would meet again.
                time.sleep(random.uniform(0, FIRST_PAUSE_SECONDS * 2**attempt))  # noqa: S311 - no secret
        return self._attempt_all(group)

    def _attempt_all(self, group: Sequence[_Submitted]) -> Sequence[_Outcome]:
        with self._store.unit_of_work() as work:
            if len(group) == 1:
                # Where nobody else can be harmed, undoing it all is undoing the command, and costs nothing.
                outcomes = [_Outcome(group[0].command(work))]
            else:
                outcomes = [_attempt(submitted.command, work) for submitted in group]
            work.commit()
        return outcomes


def _attempt(command: Callable[[UnitOfWork], Any], work: UnitOfWork) -> _Outcome:
    """Carry out one command. A failing store ends the whole unit of work; any other error only the command."""
    try:
        with work.savepoint():
            return _Outcome(command(work))
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the caller of this command alone
        # What the command had read must not stay in memory for as long as its error.
        traceback.clear_frames(error.__traceback__)
        return _Outcome(error=error)
