"""What tests of every kind share: runs to send, and a look at the connections that the product opens."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import apsw
import pytest


@pytest.fixture
def make_run() -> Callable[..., dict[str, Any]]:
    """Make a valid run as a client would send it, with the given fields on top."""

    def make(**fields: Any) -> dict[str, Any]:
        return {
            "event_id": str(uuid4()),
            "run_id": "launch-1",
            "agent_name": "translator",
            "job_type": "translate_page",
            "start_time": "2026-01-31T12:00:00.000000Z",
            **fields,
        }

    return make


@pytest.fixture
def connections() -> Iterator[list[apsw.Connection]]:
    """Every connection that is opened during the test, in order; a store opens the writing one first."""
    opened: list[apsw.Connection] = []
    apsw.connection_hooks.append(opened.append)
    yield opened
    apsw.connection_hooks.remove(opened.append)
