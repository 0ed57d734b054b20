"""What ``runsink healthcheck`` does."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Final

from adapters.api_client.connection import ApiConnection
from adapters.api_client.errors import InvalidResponseError
from adapters.api_client.retrying import describe_detail, parse_object
from core.errors import ServerUnreachableError
from entrypoints.cli.options import load_or_end
from entrypoints.cli.terminal import print_result, say
from entrypoints.exits import REJECTED, UNAVAILABLE, WRONG_USAGE, end_with
from entrypoints.settings import Settings

_TIMEOUT_SECONDS: Final = 5.0
"""The server itself gives up on its database after two."""

_MAX_RESPONSE_BYTES: Final = 64 * 1024


def ask(url: str | None, *, as_json: bool) -> None:
    """Ask the server at the URL, else the one that the settings describe, and end with the exit status."""
    # Every server accepts this host, also one that is told which names it has.
    headers = {} if url else {"Host": "localhost"}
    asked = url or _own_url(load_or_end({}).settings)
    status, exit_status, detail = _ask(asked, headers)
    if as_json:
        print_result(json.dumps({"url": asked, "ready": exit_status == 0, "status": status, "detail": detail}))
    elif exit_status == 0:
        print_result(f"{asked} is ready")
    if detail is not None:
        say(detail)
    sys.exit(exit_status)


def _own_url(settings: Settings) -> str:
    """Return the URL on this machine of a server with these settings."""
    if settings.port == 0:
        end_with("with port 0 the server picks a port that only it knows; name the server with --url", WRONG_USAGE)
    host = settings.host or "0.0.0.0"  # noqa: S104 - nothing listens here
    try:
        address = ip_address(host)
    except ValueError:
        return f"http://{host}:{settings.port}"
    if address.is_unspecified:
        address = ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://{address}:{settings.port}" if address.version == 4 else f"http://[{address}]:{settings.port}"


def _ask(url: str, headers: dict[str, str]) -> tuple[int | None, int, str | None]:
    """Return the status of the response, if there is any, the exit status, and what is wrong, if anything is."""
    try:
        with _deadline(), _connect(url) as connection:
            response = connection.request("GET", "/ready", headers=headers)
    except ServerUnreachableError as error:
        return None, UNAVAILABLE, str(error)
    except TimeoutError:
        return None, UNAVAILABLE, f"{url} did not respond within {_TIMEOUT_SECONDS:g} s"
    except InvalidResponseError as error:
        return None, REJECTED, str(error)
    if response.status == 200:
        return 200, 0, None
    reason = describe_detail(parse_object(response.body)) or f"it responded {response.status}"
    return response.status, UNAVAILABLE if response.status == 429 else REJECTED, f"{url} is not ready: {reason}"


def _connect(url: str) -> ApiConnection:
    return ApiConnection(url, timeout=_TIMEOUT_SECONDS, max_response_bytes=_MAX_RESPONSE_BYTES)


@contextmanager
def _deadline() -> Iterator[None]:
    """Raise ``TimeoutError`` in the block after so long, however slowly bytes arrive."""

    def expire(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, _TIMEOUT_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
