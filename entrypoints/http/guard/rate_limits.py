"""Rate limits: how much each client may ask for in a window of time, kept in this process."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum

from limits import RateLimitItem, parse_many
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

OFF = "off"
MAX_WINDOWS = 65_536
"""How many windows are kept at once, which bounds the memory to some 20 MB; the one unused for longest goes first."""

_MAX_FIELD_INTEGER = 10**15 - 1  # RFC 9651, section 3.3.1


class Unit(StrEnum):
    """What is counted."""

    REQUESTS = "requests"
    RUNS = "runs"


class RateLimitedError(Exception):
    """A client asked for more than its limit leaves it; nothing was counted or done.

    ``retry_after`` is the time in whole seconds after which its full quota is there again.
    """

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after


class RateLimits:
    """The limits of each client, for the one thread that serves them all.

    Windows are fixed and begin with a client's first request: one number a client is all that has to be kept, and
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
        self._limiter = FixedWindowRateLimiter(_Windows(now, max_windows))

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
        # A strategy's own hit counts also what it refuses, and then a client that asks on would never be served.
        if not self._limiter.test(rate, unit, client, cost=cost):
            raise self._refusal(rate, client, unit, cost)
        self._limiter.hit(rate, unit, client, cost=cost)

    def fields(self, client: str) -> dict[str, str]:
        """The header fields that tell the client its limits (draft-ietf-httpapi-ratelimit-headers-10)."""
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

    def _left(self, rate: RateLimitItem, client: str, unit: Unit) -> tuple[int, int]:
        """What is left of the quota, and in how many seconds all of it is there again."""
        reset, remaining = self._limiter.get_window_stats(rate, unit, client)
        return remaining, math.ceil(max(0.0, reset - self._now()))

    def _refusal(self, rate: RateLimitItem, client: str, unit: Unit, cost: int) -> RateLimitedError:
        remaining, seconds = self._left(rate, client, unit)
        quota = f"{rate.amount} {unit} in {rate.get_expiry()} seconds"
        if cost > rate.amount:
            detail = f"{cost} {unit} at once can never pass the limit of {quota}; send at most {rate.amount} at once"
        else:
            detail = f"the limit is {quota}, of which {remaining} are left, not {cost}; try again in {seconds} seconds"
        return RateLimitedError(detail, max(1, seconds))


class _Windows(Storage):
    """What each client used of its window, for so many windows at most.

    The storage in memory that comes with limits reads the wall clock, so that a clock set back makes its clients
    wait for as long, has no bound, and looks through all it holds a hundred times a second.
    """

    STORAGE_SCHEME = None

    def __init__(self, now: Callable[[], float], capacity: int) -> None:
        super().__init__()
        self._now = now
        self._capacity = capacity
        self._windows: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """The amount used and the end, those used last at the end."""

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        used = self.get(key) + amount
        end = self.get_expiry(key) if used > amount else self._now() + expiry
        self._windows[key] = (used, end)
        self._windows.move_to_end(key)
        if len(self._windows) > self._capacity:
            self._windows.popitem(last=False)
        return used

    def get(self, key: str) -> int:
        used, end = self._windows.get(key, (0, 0.0))
        return used if end > self._now() else 0

    def get_expiry(self, key: str) -> float:
        return self._windows.get(key, (0, self._now()))[1]

    def clear(self, key: str) -> None:
        self._windows.pop(key, None)

    def reset(self) -> int:
        count = len(self._windows)
        self._windows.clear()
        return count

    def check(self) -> bool:
        return True

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError


def parse_rate(option: str, text: str) -> RateLimitItem | None:
    """The rate that an option sets, such as ``100/second``; ``off`` is none.

    Raises:
        ValueError: it is no rate.
    """
    if text == OFF:
        return None
    try:
        (rate,) = parse_many(text)
    except ValueError:
        rate = None
    if rate is None or not (0 < rate.amount <= _MAX_FIELD_INTEGER and rate.get_expiry() <= _MAX_FIELD_INTEGER):
        raise ValueError(f"{option} must be off or one rate such as 100/second or 5000 per 10 minutes, not {text!r}")
    return rate
