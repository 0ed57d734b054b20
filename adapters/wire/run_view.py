"""How a list shows its runs: whole or as summaries, and with or without their rollups."""

from typing import Final

import attrs

from adapters.wire.summary import METRICS_FIELD, SHOWN_FIELDS
from core.errors import InvalidQueryError
from core.model.listing import RunFilter
from core.model.run import FIELDS
from core.model.validation_error import ValidationError
from core.validation.fields import InvalidValueError, describe, parse_flag

VIEW_PARAMETERS: Final = ("fields", "rollup")

_SUMMARY: Final = "summary"
_IN_FULL: Final = frozenset(SHOWN_FIELDS) - {"error_summary", METRICS_FIELD}
"""The fields of which a summary leaves nothing out."""


@attrs.frozen(kw_only=True)
class RunView:
    """What of each run is shown.

    ``whole`` shows all of it. Otherwise its summary is shown, and the fields in ``more`` as they are in the run.
    ``rollup`` adds what the run and its descendants add up to.
    """

    whole: bool = True
    more: frozenset[str] = frozenset()
    rollup: bool = False

    @property
    def takes_summaries(self) -> bool:
        """Whether summaries are enough to show it."""
        return not (self.whole or self.more)


def parse_view(given: dict[str, str], which: RunFilter) -> RunView:
    """Return the view that ``VIEW_PARAMETERS`` ask for in a list with this filter.

    Raises:
        InvalidQueryError: one of them is invalid, or a rollup is asked for of other runs than roots.
    """
    view = _parse_fields(given["fields"]) if "fields" in given else RunView()
    return attrs.evolve(view, rollup="rollup" in given and _parse_rollup(given["rollup"], which))


def _parse_fields(text: str) -> RunView:
    first, *more = text.split(",")
    if first != _SUMMARY:
        reason = (
            f"must be {_SUMMARY}, alone or followed by fields of a run, such as {_SUMMARY},input_summary; "
            f"not {describe(text)}"
        )
        raise InvalidQueryError((ValidationError("fields", reason),))
    if unknown := [name for name in more if name not in FIELDS]:
        reason = f"has {describe(unknown[0])}, which is not a field of a run; fields: {', '.join(FIELDS)}"
        raise InvalidQueryError((ValidationError("fields", reason),))
    return RunView(whole=False, more=frozenset(more) - _IN_FULL)


def _parse_rollup(text: str, which: RunFilter) -> bool:
    try:
        asked = parse_flag(text)
    except InvalidValueError as error:
        raise InvalidQueryError((ValidationError("rollup", str(error)),)) from None
    if asked and not which.roots:
        raise InvalidQueryError((ValidationError("rollup", "is only for runs without a parent; add roots=true"),))
    return asked
