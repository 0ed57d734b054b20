"""The OpenAPI document, and whether a response is as it says."""

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.resources import files
from typing import Any, Final

import attrs
import yaml
from jsonschema_rs import Draft202012Validator
from openapi_core import Config, OpenAPI
from openapi_core.templating.paths.exceptions import OperationNotFound, PathNotFound, ServerNotFound
from openapi_core.templating.paths.finders import APICallPathFinder
from openapi_core.testing import MockRequest, MockResponse


def _read_yaml(text: bytes) -> Any:
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe


API: Final[Mapping[str, Any]] = _read_yaml(files("entrypoints.http").joinpath("openapi.yaml").read_bytes())

_ANY_REQUEST: Final = {400, 408, 417, 431, 503}
"""Statuses for malformed, late and surplus requests, which the document describes once for all operations."""
_OTHER_METHOD: Final = {204, 401, 403, 405, 421, 429} | _ANY_REQUEST
"""Statuses of a request whose method the path does not have; 204 is a preflight."""

PROTOBUF: Final = "application/x-protobuf"

_ERROR: Final = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
_HOST: Final = "http://server"

_Kind = tuple[str, str, int, str]
"""The path as documented, the method, the status and the media type."""


@attrs.frozen
class Received:
    """A response as it arrived."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """Return the media type without parameters, empty if there is no body."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip() if self.body else ""

    @property
    def document(self) -> Any:
        """Return a body of JSON as a document, of Protocol Buffers as bytes, else as a text; ``None`` without one."""
        if not self.body:
            return None
        if self.media_type == PROTOBUF:
            return self.body
        return json.loads(self.body) if self.media_type.endswith("json") else self.body.decode()


def resolved(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Resolve a reference within the document."""
    while "$ref" in part:
        found: Any = API
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def _texts(part: object) -> Iterator[str]:
    """Return the media types of texts, which openapi-core does not all know."""
    if isinstance(part, dict):
        for media_type, media in part.get("content", {}).items():
            if resolved(media["schema"]).get("type") == "string":
                yield media_type
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _texts(inner)


@attrs.define
class Description:
    """The judge of responses.

    openapi-core needs some milliseconds for a response, and the tests receive thousands. So it finds the operation of
    each path, and judges the first response of each kind; a compiled validator of the same schema judges every body.
    """

    _found: dict[tuple[str, str], str | None] = attrs.field(factory=dict, init=False)
    _judged: set[_Kind] = attrs.field(factory=set, init=False)
    _compiled: dict[_Kind, Draft202012Validator] = attrs.field(factory=dict, init=False)

    @cached_property
    def openapi(self) -> OpenAPI:
        """Return the document as openapi-core knows it, at any server."""
        readers = {**dict.fromkeys(_texts(API), bytes.decode), "application/yaml": _read_yaml}
        return OpenAPI.from_dict({**API, "servers": [{"url": "/"}]}, Config(extra_media_type_deserializers=readers))

    def check(self, method: str, target: str, received: Received) -> None:
        """Fail unless the response to this request is documented; ignore paths that are not."""
        path, name = target.partition("?")[0], "get" if method == "HEAD" else method.lower()
        try:
            template = self._template(name, path)
        except OperationNotFound:
            assert received.status in _OTHER_METHOD, f"{received.status} to {method} {target} is not documented"
            return
        if template is None:
            return
        kind = (template, name, received.status, received.media_type)
        responses = API["paths"][template][name]["responses"]
        if str(received.status) in responses:
            if received.body and received.media_type != PROTOBUF and kind not in self._judged:
                self._judge(path, kind, received)
            self._check(kind, resolved(responses[str(received.status)]), received, with_body=method != "HEAD")
        else:
            assert received.status in _ANY_REQUEST, f"{received.status} to {method} {target} is not documented"
            self._check(kind, _ERROR, received, with_body=method != "HEAD")

    def _template(self, name: str, path: str) -> str | None:
        """Return the documented path that matches, or ``None``; raise ``OperationNotFound`` if it lacks the method."""
        if (name, path) not in self._found:
            try:
                found = APICallPathFinder(self.openapi.spec, base_url=None).find(name, f"{_HOST}{path}")
                self._found[name, path] = found.path_result.pattern
            except (PathNotFound, ServerNotFound):  # the latter where a parameter would have a slash
                self._found[name, path] = None
        return self._found[name, path]

    def _judge(self, path: str, kind: _Kind, received: Received) -> None:
        """Let openapi-core judge a response of a new kind."""
        _, name, status, media_type = kind
        response = MockResponse(received.body, status, dict(received.headers), media_type)
        self.openapi.validate_response(MockRequest(_HOST, name, path), response)
        self._judged.add(kind)

    def _check(self, kind: _Kind, documented: Mapping[str, Any], received: Received, *, with_body: bool) -> None:
        for header, described in documented.get("headers", {}).items():
            assert header in received.headers or not resolved(described).get("required"), (kind, header)
        content = documented.get("content", {})
        if received.body:
            assert received.media_type in content, f"{received.media_type} is not documented: {kind}"
        else:
            # An empty message of Protocol Buffers has no bytes.
            may_be_empty = "application/json" not in content or PROTOBUF in content
            assert not with_body or may_be_empty, f"a body is documented: {kind}"
        if received.media_type == "application/json":
            self._validator(kind, content["application/json"]["schema"]).validate(json.loads(received.body))

    def _validator(self, kind: _Kind, schema: Mapping[str, Any]) -> Draft202012Validator:
        if kind not in self._compiled:
            self._compiled[kind] = Draft202012Validator({**schema, "components": API["components"]})
        return self._compiled[kind]
