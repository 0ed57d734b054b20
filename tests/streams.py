"""What tests of streams share."""

from collections.abc import Iterable

from core.errors import RunsinkError
from core.model.stream import Chunk


def drawn(chunks: Iterable[Chunk]) -> tuple[list[Chunk], RunsinkError | None]:
    """The chunks up to the end, or up to an error, and the error."""
    found: list[Chunk] = []
    try:
        found.extend(chunks)
    except RunsinkError as error:
        return found, error
    return found, None
