"""The expected contents of a run store, as a plain dictionary."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from core.model.run import Run
from tests.properties.strategies import (
    COUNTS,
    OBJECTS,
    OPTIONAL_TEXTS,
    REQUIRED_TEXTS,
    STATUSES,
    TIMESTAMPS,
    canonical,
    expected_utc,
)

CHANGEABLE: Final = (
    "status",
    "end_time",
    *COUNTS,
    "input_summary",
    "output_summary",
    "error_summary",
    "error_details",
    "metrics_json",
    "context_json",
)
COMMIT: Final = ("commit_hash", "commit_source", "commit_author", "commit_timestamp")
NAMED: Final = frozenset(
    {
        "event_id",
        *REQUIRED_TEXTS,
        "start_time",
        "status",
        *OPTIONAL_TEXTS,
        "end_time",
        *COUNTS,
        *OBJECTS,
        *COMMIT,
        "created_at",
        "updated_at",
    }
)
SENT: Final = NAMED - {"created_at", "updated_at"}
FIXED: Final = SENT - {*CHANGEABLE, *COMMIT}

TIMES: Final = (*TIMESTAMPS, "created_at", "updated_at")
ENDS: Final = ("start_time_from", "start_time_to")

Kept = dict[str, Any]
"""A run as it should be stored: times in UTC, objects as canonical text, every field present."""


def kept_value(name: str, value: Any) -> Any:
    """Return the stored form of the value sent for a field."""
    if value is None:
        return None
    if name in OBJECTS:
        return canonical(value)
    if name == "status":
        return STATUSES[value]
    return expected_utc(value) if name.endswith("_time") or name == "commit_timestamp" else value


def kept_run(sent: Mapping[str, Any], now: str) -> Kept:
    """Return the stored form of a valid run that arrives now."""
    kept: Kept = dict.fromkeys(NAMED)
    kept |= {name: kept_value(name, value) for name, value in sent.items() if name in NAMED}
    kept |= {"status": kept["status"] or "running", "created_at": now, "updated_at": now}
    if unknown := {name: value for name, value in sent.items() if name not in NAMED}:
        kept["extra"] = canonical({**(sent.get("extra") or {}), **unknown})
    return kept


def seen(run: Run) -> Kept:
    """Return a run as it was read, in the model's terms."""
    values = {field.name: getattr(run, field.name) for field in attrs.fields(Run)}
    return values | {name: canonical(json.loads(values[name])) for name in OBJECTS if values[name] is not None}


def shown(run: Mapping[str, Any]) -> Kept:
    """Return a run from a response in the model's terms, in which timestamps always have six digits."""
    times = {name: f"{run[name][:-1]}.000000Z" for name in TIMES if run[name] is not None and len(run[name]) == 20}
    return {**run, **times, **{name: canonical(run[name]) for name in OBJECTS if run[name] is not None}}


@attrs.define
class Outcome:
    """The expected result of a batch of valid runs."""

    created: int
    runs: list[Kept]
    conflicts: list[tuple[int, str, frozenset[str]]]
    amended: int = 0


class Model:
    """Runs by key, in order of arrival."""

    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}
        self.horizon = ""

    def ingest(self, sent: Iterable[tuple[int, Mapping[str, Any]]], now: str) -> Outcome:
        """Store the runs with new keys; report how the others differ."""
        outcome = Outcome(0, [], [])
        for index, run in sent:
            mine = kept_run(run, now)
            theirs = self.kept.setdefault(run["event_id"], mine)
            outcome.created += theirs is mine
            outcome.runs.append(theirs)
            if differing := frozenset(name for name in FIXED if mine[name] != theirs[name]):
                outcome.conflicts.append((index, run["event_id"], differing))
        return outcome

    def amend(self, sent: Iterable[tuple[int, Mapping[str, Any]]], now: str) -> Outcome:
        """Store the runs with new keys, and let those that have ended take the place of those that are running."""
        outcome = Outcome(0, [], [])
        for index, run in sent:
            mine = kept_run(run, now)
            theirs = self.kept.setdefault(run["event_id"], mine)
            changed = theirs["created_at"] != theirs["updated_at"]
            outcome.created += theirs is mine
            if theirs["status"] == "running" != mine["status"]:
                tied = changed and theirs["commit_source"] and not mine["commit_source"]
                names = ("created_at", *COMMIT) if tied else ("created_at",)
                self.kept[run["event_id"]] = mine | {name: theirs[name] for name in names}
                outcome.amended += 1
            elif differing := frozenset(name for name in (FIXED if changed else SENT) if mine[name] != theirs[name]):
                outcome.conflicts.append((index, run["event_id"], differing))
        return outcome

    def is_expired(self, sent: Mapping[str, Any]) -> bool:
        """Return whether a valid run starts before the retention horizon."""
        return expected_utc(sent["start_time"]) < self.horizon

    def prune(self, horizon: str) -> None:
        """Raise the horizon, and forget what starts before it."""
        self.horizon = max(self.horizon, horizon)
        self.kept = {key: run for key, run in self.kept.items() if run["start_time"] >= self.horizon}

    def change(self, event_id: str, changes: Mapping[str, Any], now: str) -> Kept | None:
        """Apply an update or a commit to a run, if it exists; an empty one changes nothing."""
        if changes and event_id in self.kept:
            sent = {name: kept_value(name, value) for name, value in changes.items()}
            self.kept[event_id] = self.kept[event_id] | sent | {"updated_at": now}
        return self.kept.get(event_id)

    def copy(self) -> "Model":
        """Return a copy of the model."""
        other = Model()
        other.kept, other.horizon = dict(self.kept), self.horizon
        return other

    def newest_first(self) -> list[Kept]:
        """Return all runs in list order."""
        arrived = list(enumerate(self.kept.values()))
        arrived.sort(key=lambda pair: (pair[1]["start_time"], pair[0]), reverse=True)
        return [run for _, run in arrived]

    def matching(self, which: Mapping[str, str]) -> list[Kept]:
        """Return the runs that match the filters, in list order."""
        wanted = {name: kept_value(name, value) for name, value in which.items() if name in NAMED}
        since, until = (expected_utc(which[end]) if end in which else None for end in ENDS)
        return [
            run
            for run in self.newest_first()
            if all(run[name] == value for name, value in wanted.items())
            and (since is None or since <= run["start_time"])
            and (until is None or run["start_time"] <= until)
        ]

    def names(self) -> tuple[list[str], list[str]]:
        """Return the distinct agent names and job types."""
        agents, jobs = ({run[field] for run in self.kept.values()} for field in ("agent_name", "job_type"))
        return sorted(agents), sorted(jobs)
