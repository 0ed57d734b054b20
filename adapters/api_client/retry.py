"""When to send a request again: exponential backoff with full jitter, and ``Retry-After`` where the server sends it.

Every request of the API may be sent again: a run is known by its ``event_id``, and a change sets values.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import SystemRandom
from typing import Final

import attrs

_RETRIED_STATUSES: Final = frozenset({408, 425, 429, 502, 503, 504, 507})
_MAX_EXPONENT: Final = 32
"""Beyond it the bound of the delay has long been reached."""

Clock = Callable[[], float]
_RANDOM: Final = SystemRandom()  # without a state that a program could set, or a fork could copy

Uniform = Callable[[float, float], float]


def is_retried(status: int, *, with_counts: bool = False) -> bool:
    """Return whether the same request may succeed later.

    A 500 ``with_counts`` is the response to a lenient upload of which some runs failed: an answer, not a failure.
    """
    return status in _RETRIED_STATUSES or (status == 500 and not with_counts)


def parse_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that ``Retry-After`` asks to wait (RFC 9110, section 10.2.3); ``None`` if it asks nothing."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    # A date without a zone is meant in GMT, as every HTTP date is.
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (aware - (now or datetime.now(UTC))).total_seconds())


@attrs.frozen
class RetryPolicy:
    """How long to go on trying, and how long to wait between two attempts.

    ``seconds`` bounds the time from the first attempt to the beginning of the last; 0 means a single attempt. The
    bound of the delay doubles from ``first_delay`` up to ``max_delay``; a delay is drawn evenly from 0 to the bound.
    ``Retry-After`` is obeyed up to ``max_retry_after``.
    """

    seconds: float = 30.0
    first_delay: float = 0.25
    max_delay: float = 30.0
    max_retry_after: float = 120.0

    def delay(self, failures: int, retry_after: float | None = None, uniform: Uniform = _RANDOM.uniform) -> float:
        """Return how long to wait after so many failures in a row, the first being 1."""
        bound = min(self.max_delay, self.first_delay * 2.0 ** min(failures - 1, _MAX_EXPONENT))
        drawn = uniform(0.0, bound)
        if retry_after is None:
            return drawn
        # Everybody was told the same number: the jitter goes on top, so that not everybody comes at once.
        return min(retry_after, self.max_retry_after) + drawn

    def begin(self, clock: Clock = time.monotonic, uniform: Uniform = _RANDOM.uniform) -> "Attempts":
        """Begin a series of attempts."""
        return Attempts(self, clock, uniform)


class Attempts:
    """A series of attempts at one request, which ends when the time of its policy is up.

    attempts = policy.begin()
    while True:
        outcome = …
        delay = attempts.failed(retry_after)
        if delay is None:
            …  # give up
        time.sleep(delay)
    """

    def __init__(self, policy: RetryPolicy, clock: Clock, uniform: Uniform) -> None:
        self._policy = policy
        self._clock = clock
        self._uniform = uniform
        self._deadline = clock() + policy.seconds
        self.failures = 0

    def failed(self, retry_after: float | None = None) -> float | None:
        """Note that an attempt failed; return how long to wait before the next one, ``None`` to give up."""
        self.failures += 1
        left = self._deadline - self._clock()
        delay = self._policy.delay(self.failures, retry_after, self._uniform)
        if left <= 0 or (retry_after is not None and delay > left):
            return None
        return min(delay, left)

    def succeeded(self) -> None:
        """Note progress: the time begins anew, as a series does."""
        self.failures = 0
        self._deadline = self._clock() + self._policy.seconds
