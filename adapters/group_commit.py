"""Group commit: one thread writes for all, and commands that arrive during one commit share the next."""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import Context, copy_context
from functools import partial
from queue import Empty, SimpleQueue
from random import SystemRandom
from threading import Thread
from typing import Any, Final, TypeVar

import attrs

from adapters.lifetime import Lifetime
from adapters.tracebacks import release_locals
from core.errors import StoreBusyError, StoreError, TransactionConflictError
from core.ports.observer import Observer, Unobserved
from core.ports.store import Store
from core.ports.unit_of_work import UnitOfWork

MAX_COMMANDS_PER_COMMIT = 64

IDLE_SECONDS = 1.0
"""How often housekeeping runs while there are no writes: a reader that held it up may be gone by now."""

ABORT_SECONDS = 0.2
"""How long ``close`` waits for the command in flight after its timeout."""

MAX_ATTEMPTS = 10
"""The maximum number of attempts for a unit of work that conflicts with other processes."""

FIRST_BACKOFF_SECONDS = 0.005
"""The maximum backoff after the first attempt; it doubles with each, to 1.3 seconds before the last."""

_RANDOM: Final = SystemRandom()  # without a state that a program could set, or a fork could copy

_log = logging.getLogger("runsink")


_T = TypeVar("_T")
_Item = TypeVar("_Item")


# One of each is made for every request. They are not frozen, because constructing a frozen one takes twice as long.


@attrs.define
class _Mergeable:
    """A use case that handles many items at once, and one of them."""

    use_case: Callable[[Sequence[Any], UnitOfWork], Sequence[Any]]
    item: object

    def execute(self, work: UnitOfWork) -> Any:
        """Execute the use case with this item alone."""
        (value,) = self.use_case([self.item], work)
        if isinstance(value, Exception):
            raise value
        return value


@attrs.define
class Outcome:
    """What a command returned, or the error it raised; it is asked as a future is."""

    _value: Any = None
    _error: BaseException | None = None

    def result(self) -> Any:
        """Return the value, or raise the error."""
        if self._error is not None:
            raise self._error
        return self._value

    def exception(self) -> BaseException | None:
        """Return the error, if any."""
        return self._error


Settle = Callable[[Outcome], object]
"""Called by the writing thread with the outcome of a command, once; a value is durable by then.

The thread waits for it, so it must return at once, and it must not raise.
"""


@attrs.define
class _Submitted:
    """A command and who is told its outcome; ``mergeable`` if it can be executed together with others.

    ``at`` is when it was submitted, by ``time.perf_counter``. It is executed in the context of the caller, so that
    lines of the log name the caller's request.
    """

    command: Callable[[UnitOfWork], Any]
    settle: Settle
    mergeable: _Mergeable | None = None
    at: float = attrs.Factory(time.perf_counter)
    context: Context = attrs.Factory(copy_context)


class GroupCommitWriter:
    """Executes commands against a store, one after another, several per commit.

    Each command has its own savepoint: one that raises rolls back only itself. Futures complete only after the
    commit, so a result is durable. A lone command is committed at once, without waiting for others.

    A command may be executed several times, each time in a new unit of work after the previous one was rolled back.
    So it must have no effects outside it. ``observer`` is told of each commit.
    """

    def __init__(self, store: Store, observer: Observer | None = None) -> None:
        self._store = store
        self._observer = observer or Unobserved()
        self._lifetime = Lifetime()
        self._waiting: SimpleQueue[_Submitted | None] = SimpleQueue()
        self._closing = False
        self._housekeeping_failing = False
        self._aborting = False
        self._thread = Thread(target=self._run, name="runsink-writer", daemon=True)
        self._thread.start()

    def submit(self, command: Callable[[UnitOfWork], _T]) -> "Future[_T]":
        """Submit a command, from any thread.

        The future receives what the command returns or raises. If the commit fails, it receives a ``StoreError`` and
        nothing of the command was stored.

        Raises:
            StoreClosedError: after ``close``.
            StoreForkedError: in a process forked since, which does not have the thread.
        """
        future: Future[_T] = _new_future()
        self._enqueue(_Submitted(command, partial(_complete, future)))
        return future

    def submit_item(
        self, use_case: Callable[[Sequence[_Item], UnitOfWork], Sequence[_T | Exception]], item: _Item
    ) -> "Future[_T]":
        """Submit an item for a use case that is executed once for all items that share a commit.

        ``use_case`` returns a value for each item, or an exception that its future receives. If the use case itself
        raises, it is executed again for each item alone. Raise as ``submit`` does.
        """
        future: Future[_T] = _new_future()
        self.hand_over(use_case, item, partial(_complete, future))
        return future

    def hand_over(
        self, use_case: Callable[[Sequence[_Item], UnitOfWork], Sequence[Any]], item: _Item, settle: Settle
    ) -> None:
        """Do the same without a future, whose locks cost a single run more than its place in the queue does."""
        mergeable = _Mergeable(use_case, item)
        self._enqueue(_Submitted(mergeable.execute, settle, mergeable))

    def _enqueue(self, submitted: _Submitted) -> None:
        # Commands queued before the end are executed; none can be queued after it.
        with self._lifetime:
            self._waiting.put(submitted)

    @property
    def waiting(self) -> int:
        """The number of commands in the queue."""
        return self._waiting.qsize()

    def close(self, within: float | None = None) -> bool:
        """Execute the submitted commands, then end the thread. Closing again waits for the same end.

        Commands that have not begun ``within`` this many seconds fail with ``StoreBusyError``. Return ``False`` if a
        command is still in flight, waiting for the store. Do not close the store then: the thread ends with the
        process.
        """
        if self._lifetime.end():
            self._waiting.put(None)
        self._thread.join(within)
        self._aborting = True
        self._thread.join(None if within is None else ABORT_SECONDS)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._closing:
            group = self._next_group()
            for submitted, outcome in zip(group, self._execute(group), strict=True):
                submitted.settle(outcome)
            self._maintain()

    def _next_group(self) -> Sequence[_Submitted]:
        """Wait a while for one command, then take all that are queued behind it, up to the limit of one commit."""
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
            # Nobody is waiting for it. It is retried soon, and writing continues meanwhile.
            if not self._housekeeping_failing:
                _log.exception("store housekeeping failed; retrying until it succeeds")
            self._housekeeping_failing = True
        else:
            if self._housekeeping_failing:
                _log.info("store housekeeping succeeds again")
            self._housekeeping_failing = False

    def _execute(self, group: Sequence[_Submitted]) -> Sequence[Outcome]:
        if not group:
            return ()
        if self._aborting:
            return [Outcome(error=StoreBusyError("the server stopped before this was written"))] * len(group)
        begun = time.perf_counter()
        try:
            # What happens to a lone command up to its commit belongs to its caller; a shared commit belongs to nobody.
            outcomes = group[0].context.run(self._retry, group) if len(group) == 1 else self._retry(group)
        except BaseException as error:  # noqa: BLE001 - every waiting caller must be told, whatever it is
            if isinstance(error, StoreError):
                self._observer.note_failed_commit()
            release_locals(error)
            return [Outcome(error=error)] * len(group)
        self._observer.note_commit(len(group), begun - group[0].at, time.perf_counter() - begun)
        return outcomes

    def _retry(self, group: Sequence[_Submitted]) -> Sequence[Outcome]:
        """Execute the group, retrying while it conflicts with other processes."""
        for attempt in range(MAX_ATTEMPTS - 1):
            try:
                return self._execute_once(group)
            except TransactionConflictError:
                # Jitter, so that they do not collide again.
                time.sleep(_RANDOM.uniform(0, FIRST_BACKOFF_SECONDS * 2**attempt))
        return self._execute_once(group)

    def _execute_once(self, group: Sequence[_Submitted]) -> Sequence[Outcome]:
        with self._store.unit_of_work() as work:
            # A lone command needs no savepoint: rolling back the unit of work does the same.
            outcomes = [Outcome(group[0].command(work))] if len(group) == 1 else _execute_all(group, work)
            work.commit()
        return outcomes


def _new_future() -> "Future[Any]":
    """Return a future that its caller cannot cancel: to stop waiting does not withdraw a command."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return future


def _complete(future: "Future[Any]", outcome: Outcome) -> None:
    error = outcome.exception()
    if error is None:
        future.set_result(outcome.result())
    else:
        future.set_exception(error)


def _execute_all(group: Sequence[_Submitted], work: UnitOfWork) -> list[Outcome]:
    """Execute what can be merged, then the other commands in their order."""
    outcomes: dict[int, Outcome] = {}
    merged: dict[Callable[..., Any], dict[int, object]] = {}
    for place, submitted in enumerate(group):
        if submitted.mergeable is not None:
            merged.setdefault(submitted.mergeable.use_case, {})[place] = submitted.mergeable.item
    for use_case, items in merged.items():
        whole = _attempt(partial(use_case, list(items.values())), work)
        if whole.exception() is None:
            outcomes.update(zip(items, map(_outcome_of, whole.result()), strict=True))
    for place, submitted in enumerate(group):
        if place not in outcomes:
            outcomes[place] = submitted.context.run(_attempt, submitted.command, work)
    return [outcomes[place] for place in range(len(group))]


def _outcome_of(value: object) -> Outcome:
    return Outcome(error=value) if isinstance(value, Exception) else Outcome(value)


def _attempt(command: Callable[[UnitOfWork], Any], work: UnitOfWork) -> Outcome:
    """Execute one command. A ``StoreError`` ends the whole unit of work; any other error ends only the command."""
    try:
        with work.savepoint():
            return Outcome(command(work))
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the caller of this command alone
        release_locals(error)
        return Outcome(error=error)
