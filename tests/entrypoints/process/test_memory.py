"""What a server does about memory, in a process of its own, since it is the same for the whole process."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

_SERVE: Final = """
import gc, json, os, signal, sys
from entrypoints.cli import serve as command
from entrypoints.settings import Settings

def announce(service, *, opens):
    print(json.dumps({"spared": gc.get_freeze_count(), "rest": len(gc.get_objects())}))
    os.kill(os.getpid(), signal.SIGTERM)

command._announce = announce
command.serve(Settings(db=sys.argv[1], port=0), opens=False)
"""


def test_a_server_spares_what_it_consists_of(tmp_path: Path) -> None:
    """A full collection goes through what requests have made, and not through every module and class."""
    command = [sys.executable, "-c", _SERVE, str(tmp_path / "runs.db")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    found = json.loads(done.stdout)
    assert found["rest"] < found["spared"] / 10
