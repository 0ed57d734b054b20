"""Admission control: who is admitted, and when the others are told to retry."""

import attrs
import pytest

from entrypoints.http.pressure.admission import MAX_RETRY_SECONDS, AdmissionControl, Lease, OverloadedError
from entrypoints.http.rejections import Reason


@attrs.define
class Watch:
    """A clock that changes only when set."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    """Return the clock of the admission control."""
    return Watch()


@pytest.fixture
def admission(watch: Watch) -> AdmissionControl:
    """Return an admission control with a limit of 1000 bytes."""
    return AdmissionControl(1000, "waiting to be written", Reason.REQUEST_BYTES, watch)


def holding(admission: AdmissionControl, size: int) -> Lease:
    """Return a lease that holds this many bytes."""
    lease = admission.lease()
    lease.grow(size)
    return lease


def work_off(admission: AdmissionControl, watch: Watch, size: int, seconds: float) -> None:
    """Hold this many bytes for this long."""
    with holding(admission, size):
        watch.seconds += seconds


def test_what_does_not_fit_is_refused_and_takes_nothing(admission: AdmissionControl) -> None:
    """Up to the limit everything is admitted; one byte more is rejected, and fits once others are done."""
    with holding(admission, 600):
        other = holding(admission, 400)
        with pytest.raises(OverloadedError):
            other.grow(1)
        assert admission.held == 1000
    other.grow(600)
    assert admission.held == 1000


def test_a_body_alone_is_let_in_whatever_its_size(admission: AdmissionControl) -> None:
    """A limit below the largest body serializes bodies but blocks none forever."""
    lease = admission.lease()
    lease.require(5000)
    for _ in range(5):
        lease.grow(1000)
    with pytest.raises(OverloadedError):
        admission.lease().require(1)


def test_what_is_only_announced_takes_no_room(admission: AdmissionControl) -> None:
    """A client that announces a large body blocks nobody."""
    admission.lease().require(1000)
    assert admission.held == 0
    holding(admission, 1)
    admission.lease().require(999)


def test_leaving_gives_everything_back(admission: AdmissionControl) -> None:
    """After a success, an error and a rejection nothing is held."""
    with holding(admission, 10):
        pass
    with pytest.raises(KeyError), holding(admission, 10):
        raise KeyError
    first = holding(admission, 500)
    with pytest.raises(OverloadedError), holding(admission, 500) as second:
        second.grow(1)
    with first:
        pass
    assert admission.held == 0


def test_what_a_thread_asks_for_after_its_client_is_gone_is_not_counted(admission: AdmissionControl) -> None:
    """Nobody would release it. It is not rejected either, whatever others hold."""
    with holding(admission, 10) as gone:
        pass
    holding(admission, 1000)
    gone.grow(500)
    gone.cover(700)
    gone.resize(900)
    gone.hold(100_000)
    assert gone.try_grow(500)
    assert admission.held == 1000


def test_retry_after_is_the_time_that_what_waits_takes(admission: AdmissionControl, watch: Watch) -> None:
    """At 100 bytes a second, 900 bytes take 9 seconds."""
    for _ in range(50):
        work_off(admission, watch, 100, 1)
    holding(admission, 900)
    with pytest.raises(OverloadedError) as refused:
        admission.lease().require(200)
    assert refused.value.retry_after == 9


def test_time_without_work_says_nothing_about_the_speed(admission: AdmissionControl, watch: Watch) -> None:
    """An hour of idling does not change the estimate."""
    work_off(admission, watch, 1000, 1)
    watch.seconds += 3600
    holding(admission, 1000)
    assert admission.retry_after() == 1


@pytest.mark.parametrize("fresh", [True, False])
def test_retry_after_grows_while_nothing_is_done(admission: AdmissionControl, watch: Watch, *, fresh: bool) -> None:
    """While the store is locked the estimate grows up to a maximum, also on a new server."""
    if not fresh:
        work_off(admission, watch, 1000, 1)
    holding(admission, 1000)
    seen = []
    for _ in range(20):
        seen.append(admission.retry_after())
        watch.seconds += 10
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (1, MAX_RETRY_SECONDS)


def test_the_speed_of_long_ago_is_forgotten(admission: AdmissionControl, watch: Watch) -> None:
    """After a slow minute and a fast one, the fast one counts."""
    for size in (10, 1000):
        for _ in range(60):
            work_off(admission, watch, size, 1)
    holding(admission, 1000)
    assert admission.retry_after() in (1, 2)
