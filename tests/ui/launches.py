"""Launches to look at: some a day, of several agents, with every status among them."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from tests.servers import Api

END: Final = datetime(2026, 1, 31, 12, tzinfo=UTC)
DAYS: Final = 13
A_DAY: Final = 7

Run = dict[str, Any]

_AGENTS: Final = ("deps", "audit", "bench", "docs")
_STATUSES: Final = ("success", "success", "failure", "success", "partial", "success", "timeout", "success", "cancelled")
_ERRORS: Final = {
    "failure": "push rejected: the branch is protected",
    "partial": "node dispatch ended partial",
    "timeout": "no progress for 30 min",
    "cancelled": "cancelled by the operator",
}


def commit_of(event_id: str) -> str:
    """Return the hash of the commit of a launch."""
    return sha256(event_id.encode()).hexdigest()[:40]


def upload_launches(api: Api, *, end: datetime = END, days: int = DAYS, a_day: int = A_DAY) -> list[Run]:
    """Store launches with their runs, the newest at ``end``; return the launches, the newest first."""
    step = timedelta(days=1) / a_day
    launches = [make_launch(number, end - number * step) for number in range(days * a_day)]
    upload(api, [run for launch in launches for run in (launch, *_inside(launch))])
    return launches


def upload(api: Api, runs: list[Run]) -> None:
    """Store runs, however many."""
    for first in range(0, len(runs), 1000):
        answer = api.lenient(runs[first : first + 1000], Prefer="return=minimal")
        assert answer.status == 201, answer.body


def make_launch(number: int, start: datetime, **fields: object) -> Run:
    """Return a launch; its number says which agent and which status."""
    agent, status = _AGENTS[number % len(_AGENTS)], _STATUSES[number % len(_STATUSES)]
    return {
        "event_id": f"launch-{number}",
        "run_id": f"{agent}-{number}",
        "agent_name": f"{agent}-launcher",
        "job_type": "launch",
        "start_time": start.isoformat(),
        "status": status,
        "duration_ms": 60_000 + number * 1000,
        "git_repo": f"https://git.example.org/fernwood/{agent}.git",
        "input_summary": f"nightly {agent}",
        "error_summary": _ERRORS.get(status),
        "metrics_json": {"cost_usd": 1.5, "total_tokens": 150_000},
        **fields,
    }


def _inside(launch: Run) -> list[Run]:
    """Return a call of a model, which failed if the launch did, and a commit if it succeeded."""
    failed = launch["status"] == "failure"
    call = {
        "event_id": f"{launch['event_id']}-call",
        "run_id": f"{launch['run_id']}.publish.call-1",
        "parent_run_id": launch["run_id"],
        "agent_name": "model",
        "job_type": "model_call",
        "start_time": launch["start_time"],
        "status": "failure" if failed else "success",
        "error_summary": "the model is overloaded" if failed else None,
        "duration_ms": 4000,
        "metrics_json": {"cost_usd": 1.25, "total_tokens": 120_000},
    }
    if launch["status"] == "success":
        call |= {"commit_hash": commit_of(launch["event_id"]), "commit_source": "ci"}
    return [call]
