"""A script that imports everything and forks one ``runsink serve`` after another, each in a few milliseconds.

Each line that it reads is the path of a database. It prints the server's process ID, then the server's output and,
once the server has exited in any way, ``ended`` and its exit status (negative: the number of the signal).
"""

import os
import sys
from pathlib import Path

from entrypoints.cli.serve import serve
from entrypoints.settings import Settings


def main() -> None:
    """Fork servers until standard input ends."""
    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            _become_server(Path(line.rstrip("\n")))
        _, status = os.waitpid(child, 0)
        print("ended", os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - that is how it answers


def _become_server(path: Path) -> None:
    print(os.getpid(), flush=True)  # noqa: T201 - that is how it answers
    try:
        serve(Settings(port=0, db=path))
    except BaseException as error:
        print(f"failed: {error!r}", flush=True)  # noqa: T201 - that is how it answers
        raise
    finally:
        # In any case, the child must not continue the template's work.
        os._exit(0 if sys.exception() is None else 1)


if __name__ == "__main__":
    main()
