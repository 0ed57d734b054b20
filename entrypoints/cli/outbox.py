"""What ``runsink outbox flush`` does."""

import json
import sys
from pathlib import Path

import attrs

from adapters.api_client.errors import ApiError, InvalidResponseError
from adapters.api_client.retry import RetryPolicy
from adapters.api_client.retrying import GaveUpError, Patience, PatientConnection
from adapters.telemetry_outbox.delivery import Flush, Tally
from adapters.telemetry_outbox.file import OutboxFile, OutboxLockedError
from entrypoints.cli.options import connect
from entrypoints.cli.terminal import Progress, format_table, print_result, say
from entrypoints.exits import INTERRUPTED, REJECTED, UNAVAILABLE, WRONG_USAGE


def flush_file(file: Path, url: str, retry_seconds: float, *, as_json: bool) -> None:
    """Send the entries of the file, print how many that was, and end with the exit status."""
    outbox_file = OutboxFile(file)
    tally, status = Tally(), WRONG_USAGE
    if not outbox_file.exists():
        say(f"{file}: there is no such file")
        sys.exit(WRONG_USAGE)
    try:
        with outbox_file.locked():
            status = _flush(outbox_file, url, retry_seconds, tally)
            left = outbox_file.size()
    except OutboxLockedError:
        say(f"{file} is being flushed by another process")
        sys.exit(UNAVAILABLE)
    except OSError as error:
        say(f"{file}: {error.strerror or error}")
        sys.exit(REJECTED)
    _show(outbox_file, tally, left, as_json=as_json)
    sys.exit(status)


def _flush(outbox_file: OutboxFile, url: str, retry_seconds: float, tally: Tally) -> int:
    """Flush, say what went wrong, and return the exit status."""
    with Progress(outbox_file.path.name, outbox_file.size(), "entries") as progress, connect(url) as connection:

        def on_retry(reason: str, seconds: float) -> None:
            progress.clear()
            say(f"{reason}; trying again in {seconds:.1f} s")

        def on_progress(tally: Tally) -> None:
            progress.update(tally.sent + tally.rejected, tally.bytes_done)

        patience = Patience(RetryPolicy(seconds=retry_seconds), on_retry)
        try:
            is_put_back = Flush(outbox_file, PatientConnection(connection, patience), on_progress, tally).run()
        except GaveUpError as error:
            return _complain(error, UNAVAILABLE)
        except (ApiError, InvalidResponseError) as error:
            return _complain(error, WRONG_USAGE)
        except KeyboardInterrupt:
            return _complain("interrupted; what was not acknowledged stays in the file", INTERRUPTED)
    if not is_put_back:
        say(f"clients are writing: some entries wait in {outbox_file.path}.flushing-… for the next flush")
    if tally.rejected:
        return REJECTED
    return UNAVAILABLE if tally.waiting else 0


def _complain(reason: object, status: int) -> int:
    say(reason)
    return status


def _show(outbox_file: OutboxFile, tally: Tally, left: int, *, as_json: bool) -> None:
    counts = attrs.asdict(tally, filter=lambda field, _: field.name != "bytes_done")
    rejected = str(outbox_file.rejected_path) if tally.rejected else None
    if as_json:
        print_result(json.dumps({**counts, "bytes_left": left, "rejected_file": rejected}))
        return
    print_result(format_table(list(counts), [list(counts.values())]))
    if rejected:
        say(f"rejected entries are in {rejected}")
    if left:
        say(f"{left:,} bytes are left in {outbox_file.path}")
