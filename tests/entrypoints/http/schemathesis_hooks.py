"""Changes to what schemathesis sends, for rules that OpenAPI and JSON Schema cannot express."""

from typing import Any

import schemathesis


@schemathesis.hook
def before_call(_context: Any, case: schemathesis.Case, _options: dict[str, Any]) -> None:
    """Change a request just before it is sent.

    A cursor is only sent as for the first page, since others come from the server. Neither it nor a search is sent
    with an offset. Rollups are only asked for with ``roots``. A list where one state is expected gets an item: an
    empty one leaves nothing in the URL that could be wrong. ``extra`` does not repeat a name of its run. No time is
    on the first or the last day there is, which its offset may take out of the years 1 to 9999. A whole number is
    sent without a fraction: 1.0 is an integer to JSON Schema, and not to this API.
    """
    if case.query and "cursor" in case.query:
        case.query["cursor"] = ""
        case.query.pop("offset", None)
    if case.query and "q" in case.query:
        case.query.pop("offset", None)
    if case.query and "rollup" in case.query:
        case.query["roots"] = "true"
    if case.query and case.query.get("state") == []:
        case.query["state"] = [""]
    case.body = _plain(_told_once(case.body))


def _told_once(body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    told = dict(body)
    if isinstance(runs := told.get("runs"), list):
        told["runs"] = [_told_once(run) for run in runs]
    if isinstance(extra := told.get("extra"), dict):
        told["extra"] = {name: value for name, value in extra.items() if name not in told}
    return told


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.startswith(("0001-01-01", "9999-12-31")):
        return f"2026-01-31{value[10:]}"
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return {name: _plain(one) for name, one in value.items()} if isinstance(value, dict) else value
