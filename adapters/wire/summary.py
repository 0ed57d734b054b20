"""Summaries of runs, and trees and rollups of them, as responses show them."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Final

import attrs
import msgspec

from core.model.run import FIELDS, WHOLE_SECOND, Timestamp, shown_time
from core.model.summary import SUMMARY_FIELDS, RunSummary
from core.model.tree import Cause, Rollup, Tree, TreeNode

METRICS_FIELD: Final = "metrics_json"

SHOWN_FIELDS: Final = tuple(name for name in FIELDS if name in SUMMARY_FIELDS or name == METRICS_FIELD)
"""The members of a summary in a response. ``metrics_json`` has the metrics that the summary keeps."""

_values: Final = attrgetter(*("metrics" if name == METRICS_FIELD else name for name in SHOWN_FIELDS))
_METRICS_PLACE: Final = SHOWN_FIELDS.index(METRICS_FIELD)
_TIME_PLACES: Final = tuple(
    SHOWN_FIELDS.index(field.name) for field in attrs.fields(RunSummary) if field.type in (Timestamp, Timestamp | None)
)

# A tree may have thousands of nodes; such objects take a quarter of the memory of dictionaries.
_Shown: Final = msgspec.defstruct("_Shown", SHOWN_FIELDS)
_ShownNode: Final = msgspec.defstruct("_ShownNode", (*SHOWN_FIELDS, "parent", "depth"))


def summary_answer(summary: RunSummary) -> msgspec.Struct:
    """Return a summary as responses show it."""
    return _Shown(*_shown_values(summary))


def summary_members(summary: RunSummary) -> dict[str, Any]:
    """Return the same as a mapping, to which more can be added."""
    return dict(zip(SHOWN_FIELDS, _shown_values(summary), strict=True))


def tree_answer(tree: Tree) -> dict[str, Any]:
    """Return the response to ``GET /api/v1/runs/{run_id}/tree``."""
    return {"runs": list(map(_node_answer, tree.nodes)), "total": tree.total, "truncated": tree.truncated}


def rollup_answer(rollup: Rollup | None) -> Mapping[str, Any] | None:
    """Return the response to ``GET /api/v1/runs/{run_id}/rollup``."""
    if rollup is None:
        return None
    return {
        "runs": rollup.runs,
        "status": rollup.status,
        "metrics": rollup.metrics,
        "causes": list(map(_cause_answer, rollup.causes)),
        "commits": [{"commit_hash": found.commit_hash, "run_id": found.run_id} for found in rollup.commits],
    }


def _cause_answer(cause: Cause) -> dict[str, Any]:
    return {
        "error_summary": cause.error_summary,
        "status": cause.status,
        "run_id": cause.run_id,
        "runs": cause.runs,
    }


def _node_answer(node: TreeNode) -> msgspec.Struct:
    return _ShownNode(*_shown_values(node.run), node.parent, node.depth)


def _shown_values(summary: RunSummary) -> list[Any]:
    values = list(_values(summary))
    for place in _TIME_PLACES:
        time = values[place]
        if time is not None and time.endswith(WHOLE_SECOND):
            values[place] = shown_time(time)
    values[_METRICS_PLACE] = values[_METRICS_PLACE] or None
    return values
