"""A script: has everything imported, and forks ``runsink`` commands for ``tests.launcher``."""

import atexit
import ctypes
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
import threading
import traceback
from importlib.util import find_spec
from typing import Any, NoReturn

CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION = 0x20080522

_IMPORTED = ("entrypoints.cli.serve", "entrypoints.cli.migrate_store", "entrypoints.process.supervisor")


def main() -> None:
    """Fork until nobody asks any more."""
    for module in (*_IMPORTED, *(["adapters.postgres"] if find_spec("psycopg") else [])):
        importlib.import_module(module)
    requests = socket.socket(fileno=int(sys.argv[1]))
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    statuses: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([requests, ended], [], [])
        if ended in ready:
            os.read(ended, 4096)
            _report(statuses)
        if requests in ready:
            message, descriptors, _, _ = socket.recv_fds(requests, 1 << 20, 4)
            if not message:
                return
            *streams, status = descriptors
            child = os.fork()
            if child == 0:
                signal.set_wakeup_fd(-1)
                for descriptor in (requests.detach(), ended, wake, status, *statuses.values()):
                    os.close(descriptor)
                _become(json.loads(message), streams)
            for descriptor in streams:
                os.close(descriptor)
            statuses[child] = status
            requests.send(str(child).encode())


def _report(statuses: dict[int, int]) -> None:
    """Tell the exit status of each child that has ended."""
    for child in list(statuses):
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            where = statuses.pop(child)
            os.write(where, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(where)


def _become(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """Do in this child what a process of its own would do."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # Tests that run in the background of a shell inherit that it is ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for target, descriptor in enumerate(streams):
            os.dup2(descriptor, target)
            os.close(descriptor)
        sys.stdin = os.fdopen(0)
        sys.stdout = os.fdopen(1, "w")
        sys.stderr = os.fdopen(2, "w", buffering=1)
        os.chdir(request["directory"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv = request["arguments"]
        resource.setrlimit(resource.RLIMIT_NOFILE, request["open_files"])
        if request["restricted"]:
            _give_up_override()
        status = _run()
    except BaseException:  # noqa: BLE001 - whatever it is, it is told like that of any command
        traceback.print_exc()
    finally:
        # Whatever comes, the child does not go on with the template's work.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _run() -> int:
    from entrypoints.cli import main as run_command  # noqa: PLC0415 - only the child needs it

    status: Any = 0
    try:
        run_command()
    except SystemExit as error:
        status = error.code or 0
        if not isinstance(status, int):
            print(status, file=sys.stderr)  # noqa: T201 - as the interpreter does
            status = 1
    # What the interpreter does at its end.
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001
    atexit._run_exitfuncs()  # noqa: SLF001
    return int(status)


def _give_up_override() -> None:
    """Give up root's right to write what the file modes forbid (capset(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, of the low and the high capabilities
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    for place in range(3):
        sets[place] &= ~(1 << CAP_DAC_OVERRIDE)
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


if __name__ == "__main__":
    main()
