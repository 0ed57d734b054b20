"""``runsink`` commands as real processes that start in milliseconds.

A template process imports everything once and forks the commands. What they do is what ``runsink`` does; only the
imports are spared, which take longer than most tests. A few tests start the installed command itself.
"""

import json
import os
import resource
import select
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

_TEMPLATE = Path(__file__).with_name("launcher_template.py")
_NO_STATUS_YET: tuple[int, int] = (0, 0)


class _Template:
    """The template process of this process; it ends when the other end of its socket is closed."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with closing(theirs):
            self._process = subprocess.Popen(
                [sys.executable, str(_TEMPLATE), str(theirs.fileno())], pass_fds=[theirs.fileno()]
            )

    def fork(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> int:
        """Fork a command and return its pid. The descriptors are stdin, stdout, stderr, and where its status goes."""
        socket.send_fds(self._socket, [json.dumps(request).encode()], descriptors)
        return int(self._socket.recv(64))


@cache
def _template() -> _Template:
    return _Template()


class Command(subprocess.Popen[str]):
    """A ``runsink`` command that was forked by the template. ``args[0]`` is not looked at.

    ``restricted`` takes away the right of root to write what the file modes forbid.
    """

    def __init__(self, args: Sequence[str | Path], *, restricted: bool = False, **options: Any) -> None:
        self._restricted = restricted
        super().__init__([str(arg) for arg in args], text=True, **options)

    def _execute_child(self, args: Sequence[str], *details: Any) -> None:
        """Fork instead of starting a program; the positions of the details are those of CPython 3.11 to 3.14."""
        cwd, env = details[4], details[5]
        stdin, stdin_ours, stdout_ours, stdout, stderr_ours, stderr = details[9:15]
        self._status, status = os.pipe()
        request = {
            "arguments": ["runsink", *args[1:]],
            "directory": str(cwd or Path.cwd()),
            "environment": dict(os.environ if env is None else env),
            "open_files": resource.getrlimit(resource.RLIMIT_NOFILE),
            "restricted": self._restricted,
        }
        with Path(os.devnull).open("rb") as nothing:
            descriptors = [
                nothing.fileno() if stdin == -1 else stdin,
                1 if stdout == -1 else stdout,
                2 if stderr == -1 else stderr,
                status,
            ]
            self.pid = _template().fork(request, descriptors)
        os.close(status)
        self._child_created = True
        self._close_pipe_fds(stdin, stdin_ours, stdout_ours, stdout, stderr_ours, stderr)  # type: ignore[attr-defined]

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        self._try_wait(os.WNOHANG)
        return self.returncode

    def _try_wait(self, flags: int) -> tuple[int, int]:
        """Read the status that the template reports; as ``os.waitpid`` would return it."""
        if self.returncode is None and select.select([self._status], [], [], 0 if flags & os.WNOHANG else None)[0]:
            self.returncode = int(os.read(self._status, 64) or -9)
            os.close(self._status)
        if self.returncode is None:
            return _NO_STATUS_YET
        return self.pid, self.returncode << 8 if self.returncode >= 0 else -self.returncode
