"""What tests of the API share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import WITH_POSTGRES
from tests.servers import Api, Start


@pytest.fixture(params=("sqlite", "postgres") if WITH_POSTGRES else ("sqlite",))
def any_server(request: pytest.FixtureRequest, start: Start, tmp_path: Path) -> Iterator[Api]:
    """Yield a server over a new database of each kind."""
    settings = {"db": request.getfixturevalue("postgres_url")} if request.param == "postgres" else {}
    with start(spool=tmp_path / "spool", **settings) as api:
        yield api
