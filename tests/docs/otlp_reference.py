"""The tables of ``docs/reference/otlp.md``, made of the code: ``python -m tests.docs.otlp_reference`` writes them."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from adapters.wire.otlp.content import CONTENT_INDEXED, CONTENT_NAMES, CONTENT_PREFIXES
from adapters.wire.otlp.table import CONTEXT, METRICS, TABLE
from tests.docs.pages import DOCS

PAGE: Final = DOCS / "reference" / "otlp.md"
_PART: Final = re.compile(r"(<!-- generated: (\w+) -->\n\n)(.*?)(\n<!-- end -->)", re.DOTALL)


def _fields() -> Iterator[str]:
    yield "| field | sources, in order |\n|---|---|\n"
    for field, sources in TABLE.items():
        yield f"| `{field}` | {'; '.join(source.text for source in sources)} |\n"


def _metrics() -> Iterator[str]:
    yield "| in `metrics_json` | attributes of the span, in order |\n|---|---|\n"
    for metric, names in METRICS.items():
        yield f"| `{metric}` | {' '.join(f'`{name}`' for name in names)} |\n"


def _context() -> Iterator[str]:
    yield "| in `context_json` | what |\n|---|---|\n"
    for name, text in CONTEXT.items():
        yield f"| `{name}` | {text} |\n"


def _content() -> Iterator[str]:
    beginnings = [*(f"{one}*" for one in CONTENT_PREFIXES), *(f"{one}N*" for one in CONTENT_INDEXED)]
    yield " ".join(f"`{name}`" for name in sorted([*CONTENT_NAMES, *beginnings])) + "\n"


_PARTS: Final[Mapping[str, Callable[[], Iterator[str]]]] = {
    "fields": _fields,
    "metrics": _metrics,
    "context": _context,
    "content": _content,
}


def regenerate(text: str) -> str:
    """Return the text of the page with its tables made anew."""
    made, parts = _PART.subn(lambda match: f"{match[1]}{''.join(_PARTS[match[2]]())}{match[4]}", text)
    assert parts == len(_PARTS)
    return made


if __name__ == "__main__":
    PAGE.write_text(regenerate(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
