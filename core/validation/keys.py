"""Validation of requested IDs."""

from core.errors import RunNotFoundError
from core.model.run import Text
from core.validation.fields import InvalidValueError, describe, parse_text, plain


def require_key(key: object) -> Text:
    """Return an ``event_id`` or ``run_id`` as plain text.

    Raises:
        RunNotFoundError: no run can have this ID, so there is no need to query the store.
    """
    asked = plain(key)
    try:
        return parse_text(asked)
    except InvalidValueError:
        raise RunNotFoundError(asked if isinstance(asked, str) else describe(asked)) from None
