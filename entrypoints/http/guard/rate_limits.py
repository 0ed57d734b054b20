"""Rate limits: a quota for each client and time window, kept in this process."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from limits import RateLimitItem

from entrypoints.http.rejections import Reason, RejectedRequestError

MAX_WINDOWS: Final = 65_536
"""Maximum windows kept at once, in about 20 MB; the least recently used one is dropped first."""


class Unit(StrEnum):
    """What is counted."""

    REQUESTS = "requests"
    RUNS = "runs"


class RateLimitedError(RejectedRequestError):
    """A request exceeds the client's remaining quota; nothing was counted or done.

    ``retry_after`` is the time in whole seconds after which its full quota is there again.
    """

    def __init__(self, detail: str, retry_after: int) -> None:
        headers = {"Retry-After": str(retry_after)}
        super().__init__(HTTPStatus.TOO_MANY_REQUESTS, detail, headers, reason=Reason.RATE_LIMIT)
        self.retry_after = retry_after


class RateLimits:
    """The rate limits of all clients. Not thread-safe.

    Windows are fixed and start with a client's first request. Each takes two numbers, and its end is known to the
    second. A client can therefore use two quotas within one window's length. ``now`` returns the seconds of a monotonic
    clock.
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
        """The used quota and the end of each window, in order of use."""

    def __bool__(self) -> bool:
        return bool(self._rates)

    def charge(self, client: str, unit: Unit, cost: int = 1) -> None:
        """Count ``cost`` against the client's quota.

        Raises:
            RateLimitedError: the remaining quota is smaller.
        """
        rate = self._rates.get(unit)
        if rate is None:
            return
        used, end = self._window(client, unit, rate)
        if used + cost > rate.amount:
            raise self._rejection(rate, client, unit, cost)
        self._keep(client, unit, used + cost, end)

    def take(self, client: str, unit: Unit, wanted: int) -> tuple[int, float]:
        """Count as much of ``wanted`` as the remaining quota allows.

        Return how much that was, and the seconds until all of the quota is available again.
        """
        rate = self._rates.get(unit)
        if rate is None:
            return wanted, 0.0
        used, end = self._window(client, unit, rate)
        taken = min(wanted, rate.amount - used)
        self._keep(client, unit, used + taken, end)
        return taken, end - self._now()

    def fields(self, client: str) -> dict[str, str]:
        """Return the ``RateLimit`` fields for the client (draft-ietf-httpapi-ratelimit-headers-10)."""
        policies = [
            # Requests are the default unit.
            f'"{unit}";q={rate.amount};w={rate.get_expiry()}' + ("" if unit is Unit.REQUESTS else f';qu="{unit}"')
            for unit, rate in self._rates.items()
        ]
        left = []
        for unit, rate in self._rates.items():
            remaining, seconds = self._left(rate, client, unit)
            left.append(f'"{unit}";r={remaining}' + (f";t={seconds}" if seconds else ""))
        return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(left)}

    def _keep(self, client: str, unit: Unit, used: int, end: float) -> None:
        self._windows[client, unit] = (used, end)
        self._windows.move_to_end((client, unit))
        if len(self._windows) > self._max_windows:
            self._windows.popitem(last=False)

    def _window(self, client: str, unit: Unit, rate: RateLimitItem) -> tuple[int, float]:
        """Return the used quota of the current window, and its end."""
        now = self._now()
        used, end = self._windows.get((client, unit), (0, 0.0))
        return (used, end) if end > now else (0, now + rate.get_expiry())

    def _left(self, rate: RateLimitItem, client: str, unit: Unit) -> tuple[int, int]:
        """Return the remaining quota, and the seconds until all of it is available again."""
        used, end = self._window(client, unit, rate)
        return rate.amount - used, math.ceil(end - self._now()) if used else 0

    def _rejection(self, rate: RateLimitItem, client: str, unit: Unit, cost: int) -> RateLimitedError:
        remaining, seconds = self._left(rate, client, unit)
        quota = f"{rate.amount} {unit} in {rate.get_expiry()} seconds"
        if cost > rate.amount:
            detail = f"{cost} {unit} at once can never fit the limit of {quota}; send at most {rate.amount} at once"
        else:
            detail = f"the limit is {quota}: {remaining} left, {cost} needed; retry in {seconds} s"
        return RateLimitedError(detail, max(1, seconds))
