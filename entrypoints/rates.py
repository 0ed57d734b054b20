"""Parse rates in settings."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from limits import RateLimitItem

OFF: Final = "off"
_MAX_FIELD_INTEGER: Final = 10**15 - 1  # RFC 9651, section 3.3.1


def parse_rate(option: str, text: str) -> "RateLimitItem | None":
    """Return the rate of an option, such as ``100/second``, or ``None`` for ``off``.

    Raises:
        ValueError: the text is not a rate.
    """
    if text == OFF:
        return None
    # Imported here because most servers have no rate limits.
    from limits import parse_many  # noqa: PLC0415

    try:
        (rate,) = parse_many(text)
    except ValueError:
        rate = None
    if rate is None or not (0 < rate.amount <= _MAX_FIELD_INTEGER and rate.get_expiry() <= _MAX_FIELD_INTEGER):
        raise ValueError(f"{option} must be off or one rate such as 100/second or 5000 per 10 minutes, not {text!r}")
    return rate
