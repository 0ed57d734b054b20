"""Upload a file of runs to a runsink server.

    python examples/upload.py http://127.0.0.1:8765 examples/launch.json
    python examples/upload.py http://127.0.0.1:8765 examples/launch.json --atomic

If the server is overloaded or the response is lost, the upload is sent again: every run carries its
``event_id``, so what is already stored is not stored twice. Exits with 0 when every run is stored, with 1 when
some were rejected, with 2 when there is no such response.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

ATTEMPTS = 6
TIMEOUT_SECONDS = 60
LONGEST_WAIT_SECONDS = 30.0
TOO_BUSY = frozenset({429, 503})


@dataclass(frozen=True)
class Answer:
    """A response of the server."""

    status: int
    retry_after: str
    body: dict[str, Any]

    @property
    def counted(self) -> bool:
        """Whether it reports the result of each run; then it is final, whatever its status."""
        return {"total", "created", "existing", "failed"} <= self.body.keys()


class UploadError(Exception):
    """The upload got no final response."""


def upload(url: str, content: bytes) -> Answer:
    """Send the content until there is a final response.

    Raises:
        UploadError: the server cannot be reached, or stays overloaded.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            answer = post(url, content)
        except (OSError, HTTPException) as error:
            reason, wait = f"no answer ({error})", backoff(attempt)
        else:
            if answer.status not in TOO_BUSY or answer.counted:
                return answer
            reason, wait = f"HTTP {answer.status}: {detail(answer.body)}", requested_wait(answer, attempt)
        if attempt < ATTEMPTS:
            report(f"attempt {attempt} of {ATTEMPTS}: {reason}; trying again in {wait:g} s")
            time.sleep(wait)
    raise UploadError(f"gave up after {ATTEMPTS} attempts: {reason}")


def post(url: str, content: bytes) -> Answer:
    """Send the content once; an error status is a response like any other."""
    headers = {"Content-Type": "application/json", "Prefer": "return=minimal"}
    request = Request(url, content, headers, method="POST")
    try:
        with urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            return Answer(response.status, "", parse(response.read()))
    except HTTPError as response:
        with response:
            return Answer(response.code, response.headers.get("Retry-After", ""), parse(response.read()))


def parse(content: bytes) -> dict[str, Any]:
    """Return the body of a response; a proxy may respond with something that is not JSON."""
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {"detail": ascii(content[:200])}


def backoff(attempt: int) -> float:
    """Return how long to wait if the server does not say: twice as long each time."""
    return min(0.25 * 2.0**attempt, LONGEST_WAIT_SECONDS)


def requested_wait(answer: Answer, attempt: int) -> float:
    """Return how long the server asks to wait, from either form of ``Retry-After``: seconds or a date."""
    value = answer.retry_after.strip()
    if value.isdecimal():
        return min(float(value), LONGEST_WAIT_SECONDS)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return backoff(attempt)
    seconds = (until.astimezone(UTC) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)


def detail(body: Mapping[str, Any]) -> str:
    """Return the ``detail`` of an error, a text or a list of locations and messages."""
    found = body.get("detail")
    if not isinstance(found, list):
        return str(found)
    return "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in found)


def report(line: str) -> None:
    """Print a message that is not part of the result."""
    print(line, file=sys.stderr, flush=True)


def print_counts(answer: Answer) -> None:
    """Print the result of each run."""
    body = answer.body
    counts = ", ".join(f"{body[name]} {name}" for name in ("created", "existing", "failed"))
    print(f"HTTP {answer.status}: {body['total']} runs, {counts}")
    if isinstance(body.get("detail"), str):
        print(body["detail"])
    for error in body["errors"]:
        name = error["run_id"] or error["event_id"] or "(no name)"
        print(f"  rejected: run {error['index']} {name}")
        print(f"            {error['error']}")
    for conflict in body["conflicts"]:
        fields = ", ".join(conflict["fields"])
        print(f"  another run is stored under the event_id of run {conflict['index']}; these differ: {fields}")


def server_url(text: str) -> str:
    """Return the URL of a server, without a trailing slash."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address such as http://127.0.0.1:8765")
    return text.rstrip("/")


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Upload a file of runs to a runsink server.")
    parser.add_argument("url", type=server_url, help="the server, such as http://127.0.0.1:8765")
    parser.add_argument("file", type=Path, help='a JSON file: {"runs": [...]}')
    parser.add_argument("--atomic", action="store_true", help="store all runs or none")
    return parser.parse_args()


def main() -> int:
    """Upload, print, and return the exit status."""
    given = arguments()
    endpoint = "batch-transactional" if given.atomic else "batch"
    try:
        answer = upload(f"{given.url}/api/v1/runs/{endpoint}", given.file.read_bytes())
    except (OSError, UploadError) as error:
        report(f"upload.py: {error}")
        return 2
    if not answer.counted:
        report(f"HTTP {answer.status}: {detail(answer.body)}")
        return 2
    print_counts(answer)
    return 1 if answer.body["failed"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
