"""Rate limits: how much each client may ask for in a window of time, kept in this process."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from limits import RateLimitItem

from entrypoints.http.rejections import RejectedRequestError

MAX_WINDOWS: Final = 65_536
"""How many windows are kept at once, which bounds the memory to some 20 MB; the one unused for longest goes first."""


class Unit(StrEnum):
    """What is counted."""

    REQUESTS = "requests"
    RUNS = "runs"


class RateLimitedError(RejectedRequestError):
    """A client asked for more than its limit leaves it; nothing was counted or done.

    ``retry_after`` is the time in whole seconds after which its full quota is there again. ``can_never_pass`` says
    that it asked for more than its full quota.
    """

    def __init__(self, detail: str, retry_after: int, *, can_never_pass: bool) -> None:
        super().__init__(HTTPStatus.TOO_MANY_REQUESTS, detail, {"Retry-After": str(retry_after)})
        self.retry_after = retry_after
        self.can_never_pass = can_never_pass


class RateLimits:
    """The limits of each client, for the one thread that serves them all.

    Windows are fixed and begin with a client's first request: two numbers a client are all that has to be kept, and
    when there is quota again is known to the second. A client can so use two quotas within one window's length.
    ``now`` gives seconds of a clock that nobody sets.
    """

    def __init__(
        self,
        rates: dict[Unit, RateLimitItem],
        now: Callable[[], float] = time.monotonic,
        max_windows: int = MAX_WINDOWS,
    ) -> None:
        self._rates = rates
        self._now = now
        self._max_windows = max_windows
        self._windows: OrderedDict[tuple[str, Unit], tuple[int, float]] = OrderedDict()
        """What was used of each window and when the window ends; those used last are at the end."""

    def __bool__(self) -> bool:
        return bool(self._rates)

    def charge(self, client: str, unit: Unit, cost: int = 1) -> None:
        """Count this much of the client's quota.

        Raises:
            RateLimitedError: so much is not left.
        """
        rate = self._rates.get(unit)
        if rate is None:
            return
        used, end = self._window(client, unit, rate)
        if used + cost > rate.amount:
            raise self._refusal(rate, client, unit, cost)
        self._windows[client, unit] = (used + cost, end)
        self._windows.move_to_end((client, unit))
        if len(self._windows) > self._max_windows:
            self._windows.popitem(last=False)

    def fields(self, client: str) -> dict[str, str]:
        """Return the header fields that tell the client its limits (draft-ietf-httpapi-ratelimit-headers-10)."""
        policies = [
            # The unit goes without saying for requests only.
            f'"{unit}";q={rate.amount};w={rate.get_expiry()}' + ("" if unit is Unit.REQUESTS else f';qu="{unit}"')
            for unit, rate in self._rates.items()
        ]
        left = []
        for unit, rate in self._rates.items():
            remaining, seconds = self._left(rate, client, unit)
            left.append(f'"{unit}";r={remaining}' + (f";t={seconds}" if seconds else ""))
        return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(left)}

    def _window(self, client: str, unit: Unit, rate: RateLimitItem) -> tuple[int, float]:
        """Return what was used of the current window and when it ends."""
        now = self._now()
        used, end = self._windows.get((client, unit), (0, 0.0))
        return (used, end) if end > now else (0, now + rate.get_expiry())

    def _left(self, rate: RateLimitItem, client: str, unit: Unit) -> tuple[int, int]:
        """Return what is left of the quota, and in how many seconds all of it is there again."""
        used, end = self._window(client, unit, rate)
        return rate.amount - used, math.ceil(end - self._now()) if used else 0

    def _refusal(self, rate: RateLimitItem, client: str, unit: Unit, cost: int) -> RateLimitedError:
        remaining, seconds = self._left(rate, client, unit)
        quota = f"{rate.amount} {unit} in {rate.get_expiry()} seconds"
        if cost > rate.amount:
            detail = f"{cost} {unit} at once can never pass the limit of {quota}; send at most {rate.amount} at once"
        else:
            detail = f"the limit is {quota}, of which {remaining} are left, not {cost}; try again in {seconds} seconds"
        return RateLimitedError(detail, max(1, seconds), can_never_pass=cost > rate.amount)
