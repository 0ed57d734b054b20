"""What is wrong with a field."""

from enum import StrEnum

import attrs


class ErrorKind(StrEnum):
    """Why a field was refused, for programs."""

    MISSING = "missing"
    INVALID = "value_error"


@attrs.frozen
class ValidationError:
    """One field that breaks its rule, or a whole that is no object at all: then ``field`` is ``None``.

    ``reason`` completes the sentence that starts with the field's name.
    """

    field: str | None
    reason: str
    kind: ErrorKind = ErrorKind.INVALID

    def __str__(self) -> str:
        name = "it" if self.field is None else self.field or "''"
        return f"{name} {self.reason}"
