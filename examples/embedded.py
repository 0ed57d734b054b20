"""Use the store from Python, without a server.

    python examples/embedded.py

A server may have the same file open at the same time.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from runsink import BatchRolledBackError, RunStore, open_store

LAUNCH: Mapping[str, Any] = {
    "event_id": "5b3c2a34-6a0f-4f5e-9a53-0d8a1d2f7c10",
    "run_id": "nightly-7",
    "agent_name": "docs-launcher",
    "job_type": "launch",
    "start_time": "2026-01-31T09:00:00Z",
}
WORKER: Mapping[str, Any] = {
    "event_id": "8f0c6f0e-58a1-4c55-8c7a-3f2f6f6a1b21",
    "run_id": "nightly-7.install.fr",
    "parent_run_id": "nightly-7",
    "agent_name": "docs-translator",
    "job_type": "translate_page",
    "start_time": "2026-01-31T10:00:05+01:00",
    "status": "completed",
    "metrics_json": {"total_tokens": 2871, "cost_usd": 0.026},
}
BROKEN: Mapping[str, Any] = {
    "event_id": "d1a7f0b2-2f9e-4b0b-8f57-64c2f7d9ce32",
    "run_id": "nightly-7.faq.fr",
    "agent_name": "docs-translator",
    "job_type": "translate_page",
    "start_time": "2026-01-31T09:00:06",
}


def three_lines(path: Path) -> None:
    """Open a store, upload, read back."""
    with open_store(path) as runs:
        runs.ingest_lenient([LAUNCH])
        print("read back:", runs.get("nightly-7"))


def lenient(runs: RunStore) -> None:
    """Store the valid runs; the invalid one is named."""
    result = runs.ingest_lenient([LAUNCH, WORKER, BROKEN])
    print(f"lenient: {result.created} created, {result.existing} existing, {result.failed} failed")
    for refused in result.refused:
        print(f"  run {refused.index} ({refused.run_id}):", "; ".join(map(str, refused.errors)))


def atomic(runs: RunStore) -> None:
    """One invalid run, and nothing is stored; without it, everything is."""
    gate = {**WORKER, "event_id": "0a4e9d0c-0c53-4f0c-9d64-6a7c1f5b2e43", "run_id": "nightly-7.install.fr.gate"}
    try:
        runs.ingest_atomic([gate, BROKEN])
    except BatchRolledBackError as error:
        print("atomic:", error)
    result = runs.ingest_atomic([gate])
    print(f"atomic, without the invalid run: {result.created} created")


def read(runs: RunStore) -> None:
    """List what is stored, newest first, and change a run."""
    page = runs.page()
    print(f"stored: {page.total} runs")
    for run in page.runs:
        print(f"  {run.start_time}  {run.status:8}  {run.run_id}")
    print("afterwards:", runs.update(LAUNCH["event_id"], {"status": "success", "duration_ms": 61_000}).status)
    print("agents:", ", ".join(runs.metadata().agent_names.names))


def main() -> None:
    """Run all examples on a temporary store."""
    with TemporaryDirectory(prefix="runsink-embedded-") as directory:
        path = Path(directory, "runs.db")
        three_lines(path)
        with open_store(path) as runs:
            lenient(runs)
            atomic(runs)
            read(runs)


if __name__ == "__main__":
    main()
