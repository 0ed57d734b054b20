"""The reference of the HTTP API, generated from the OpenAPI document.

    python -m tests.docs.http_reference

rewrites ``docs/reference/http.md``; a test fails when it is not what this makes of the document.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
from openapi_spec_validator.readers import read_from_filename

from core.model.limits import Limits
from entrypoints.http.api.stream_taker import MIN_BYTES_PER_SECOND
from entrypoints.http.transport.connection_limits import ConnectionLimits
from entrypoints.settings import Settings
from tests.docs.pages import DOCS, ROOT

PAGE = DOCS / "reference" / "http.md"
METHODS = ("get", "post", "put", "patch", "delete")

OPENAPI_FILE = ROOT / "entrypoints" / "http" / "openapi.yaml"
_HEAD = """\
<!-- Generated from the OpenAPI document by `python -m tests.docs.http_reference`. Change the document instead. -->

# The HTTP API

{description}

What a run looks like is in [The fields of a run](run.md), and what a client does with each status in
[What each response means](responses.md). Who may connect, and how often,
is in [Tokens, browsers and rate limits](access.md).

"""

Document = Mapping[str, Any]


def read_document() -> Document:
    """Return the OpenAPI document as it stands in the checkout."""
    document: Document = read_from_filename(str(OPENAPI_FILE))[0]
    return document


def resolve(document: Document, part: Document) -> Document:
    """Return a part of the document, or what it refers to."""
    while "$ref" in part:
        found: Any = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name.replace("~1", "/").replace("~0", "~")]
        part = found
    return part


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Yield the method, the path and the description of every request."""
    for path, item in document["paths"].items():
        yield from ((method.upper(), path, item[method]) for method in METHODS if method in item)


def render(document: Document) -> str:
    """Return the page."""
    parts = [_HEAD.format(description=document["info"]["description"].strip()), *_overview(document)]
    for method, path, operation in operations(document):
        parts += _request(document, method, path, operation)
    parts += _limits(document)
    return "".join(parts).rstrip() + "\n"


def _overview(document: Document) -> Iterator[str]:
    yield "## Requests\n\n| request | what it does |\n|---|---|\n"
    for method, path, operation in operations(document):
        yield f"| `{method} {path}` | {_cell(operation['summary'])} |\n"
    yield "\n"


def _request(document: Document, method: str, path: str, operation: Document) -> Iterator[str]:
    yield f"## `{method} {path}`\n\n{operation['summary'].strip()}\n\n"
    if "description" in operation:
        yield f"{operation['description'].strip()}\n\n"
    yield from _parameters(document, path, operation)
    body = resolve(document, operation.get("requestBody", {}))
    if body:
        yield f"Body: {', '.join(f'`{kind}`' for kind in body['content'])}\n\n"
    yield "| status | meaning |\n|---|---|\n"
    for status, response in operation["responses"].items():
        yield f"| {status} | {_cell(resolve(document, response)['description'])} |\n"
    yield "\n"


def _parameters(document: Document, path: str, operation: Document) -> Iterator[str]:
    given = [*document["paths"][path].get("parameters", []), *operation.get("parameters", [])]
    if given:
        yield "| parameter | in | meaning |\n|---|---|---|\n"
    for one in (resolve(document, part) for part in given):
        schema = resolve(document, one.get("schema", {}))
        words = [one.get("description", schema.get("description", "")).strip(), _range_of(schema)]
        yield f"| `{one['name']}` | {one['in']} | {_cell(' '.join(filter(None, words)))} |\n"
    if given:
        yield "\n"


def _range_of(schema: Document) -> str:
    words = [", ".join(f"`{value}`" for value in schema.get("enum", []))]
    if "minimum" in schema and "maximum" in schema:
        words.append(f"From {schema['minimum']} to {schema['maximum']}.")
    if "default" in schema:
        words.append(f"Default: `{schema['default']}`.")
    return " ".join(filter(None, words))


def _limits(document: Document) -> Iterator[str]:
    fixed = {
        **attrs.asdict(Limits()),
        "max_header_bytes": ConnectionLimits.of(Settings()).max_header_bytes,
        "min_stream_bytes_per_second": MIN_BYTES_PER_SECOND,
    }
    yield "## Limits\n\nThe members of `GET /api/v1/limits`. Those without a value here come from the settings, and\n"
    yield "`retention_horizon` from the store.\n\n"
    yield "| limit | value | meaning |\n|---|---|---|\n"
    for name, schema in document["components"]["schemas"]["Limits"]["properties"].items():
        value = f"{fixed[name]:,}" if name in fixed else ""
        # A description beside a reference is that of this limit.
        meaning = schema.get("description") or resolve(document, schema).get("description", "")
        yield f"| `{name}` | {value} | {_cell(meaning)} |\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render(read_document()), encoding="utf-8")
