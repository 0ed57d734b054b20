"""The commands of docs/how-to/back-up-and-restore.md, run as they stand."""

import os
import re
import subprocess
from pathlib import Path

from entrypoints.embedded import open_store
from tests.servers import RUNSINK, MakeRun, own_environment

PAGE = (Path(__file__).parent.parent.parent / "docs" / "how-to" / "back-up-and-restore.md").read_text(encoding="utf-8")
BACKUP = "/backups/runs-2026-01-31.db"


def test_the_commands_do_what_the_page_says(make_run: MakeRun, tmp_path: Path) -> None:
    """A backup, the script for cron, a check and a restore follow each other; only the server is not started."""
    with open_store(tmp_path / "runsink.db") as store:
        store.ingest_atomic([make_run() for _ in range(10)])
    (tmp_path / "backups").mkdir()
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    assert sum(BACKUP in block for block in blocks) == 2
    for block in blocks:
        script = re.sub(r"^runsink serve.*$", "", block, flags=re.MULTILINE)
        script = script.replace("/backups", f"{tmp_path}/backups").replace("/data", str(tmp_path))
        environment = own_environment({"PATH": f"{RUNSINK.parent}{os.pathsep}{os.environ['PATH']}"})
        done = subprocess.run(
            ["sh", "-ec", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
    with open_store(tmp_path / "runsink.db") as store:
        assert store.page().total == 10
    assert len(list((tmp_path / "backups").iterdir())) == 2
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["runsink.db"]
