"""An error in one field."""

from enum import StrEnum

import attrs


class ErrorKind(StrEnum):
    """Why a field was rejected, for programs."""

    MISSING = "missing"
    INVALID = "value_error"


@attrs.frozen
class ValidationError:
    """An invalid field; ``field`` is ``None`` if the error concerns the value as a whole.

    ``reason`` completes a sentence that starts with the field's name.
    """

    field: str | None
    reason: str
    kind: ErrorKind = ErrorKind.INVALID

    def __str__(self) -> str:
        name = "it" if self.field is None else self.field or "''"
        return f"{name} {self.reason}"
