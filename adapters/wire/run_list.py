"""Lists of runs as JSON, in the view that was asked for."""

from collections.abc import Sequence

from adapters.wire.encode import encode, shown_run
from adapters.wire.run_view import RunView
from adapters.wire.summary import rollup_answer, summary_answer, summary_members
from core.model.run import FIELDS, Run
from core.model.summary import RunSummary, summarize
from core.model.tree import Rollup


def encode_listed(
    runs: Sequence[Run] | Sequence[RunSummary], view: RunView, rollups: Sequence[Rollup | None] | None = None
) -> bytes:
    """Encode a list of runs in this view, as part of a response; ``rollups`` are given if the view has them.

    The runs are summaries if the view takes them.
    """
    shown = [_shown(run, view) for run in runs]
    if rollups is None:
        return encode(shown)
    pairs = zip(map(encode, shown), rollups, strict=True)
    return b"[" + b",".join(_with_rollup(run, rollup) for run, rollup in pairs) + b"]"


def _shown(run: Run | RunSummary, view: RunView) -> object:
    if isinstance(run, RunSummary):
        return summary_answer(run)
    if view.whole:
        return shown_run(run)
    members = summary_members(summarize(run)) | {name: getattr(run, name) for name in view.more}
    return {name: members[name] for name in FIELDS if name in members}


def _with_rollup(run: bytes, rollup: Rollup | None) -> bytes:
    return run[:-1] + b',"rollup":' + encode(rollup_answer(rollup)) + b"}"
