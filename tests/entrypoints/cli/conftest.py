"""The server that streams, jobs and exports are tested against, and the means to disturb it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.fakes.stream_server import FakeServer, running_fake
from tests.fakes.unreliable_proxy import Cut, Proxy, Respond, running_proxy

Disturb = Callable[..., AbstractContextManager[Proxy]]


@pytest.fixture
def streaming_server() -> Iterator[FakeServer]:
    """A server of streams, jobs and exports with an empty store."""
    with running_fake() as server:
        yield server


@pytest.fixture
def disturb(streaming_server: FakeServer) -> Disturb:
    """Put a proxy before that server, with one fate for each connection."""

    def disturb_with(*script: Cut | Respond) -> AbstractContextManager[Proxy]:
        return running_proxy(streaming_server.url, *script)

    return disturb_with
