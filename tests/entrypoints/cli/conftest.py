"""The server that uploads, jobs and exports are tested against, and the means to disturb it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import attrs
import pytest

from tests.fakes.unreliable_proxy import Cut, Proxy, Respond, running_proxy
from tests.servers import Api, Start

Disturb = Callable[..., AbstractContextManager[Proxy]]


@attrs.frozen
class StreamingServer:
    """A real server with an empty store."""

    api: Api

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.api.url

    def stored(self) -> list[str]:
        """Return the sorted keys of all stored runs."""
        keys: list[str] = []
        cursor = ""
        while cursor is not None:
            page = self.api.find(limit=1000, cursor=cursor)
            keys += page.event_ids
            cursor = page.body["next_cursor"]
        return sorted(keys)


@pytest.fixture
def streaming_server(start: Start) -> Iterator[StreamingServer]:
    """A server of streams, jobs and exports with an empty store."""
    with start() as api:
        yield StreamingServer(api)


@pytest.fixture
def disturb(streaming_server: StreamingServer) -> Disturb:
    """Put a proxy before that server, with one fate for each connection."""

    def disturb_with(*script: Cut | Respond) -> AbstractContextManager[Proxy]:
        return running_proxy(streaming_server.url, *script)

    return disturb_with
