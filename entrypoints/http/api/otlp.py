"""Spans of OpenTelemetry, each of which is a run; logs and metrics are not supported."""

from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from importlib import import_module
from typing import Final, Protocol, cast

import attrs
from aiohttp import web

from adapters.wire.otlp import json
from adapters.wire.otlp.responses import ExportFormat
from adapters.wire.otlp.slices import SpanSlice, count_spans, read_slices
from adapters.wire.otlp.spans import SpanGroup
from core.model.batch import BatchResult, RefusedRun
from core.ports.observer import Intake
from core.use_cases.amend import ingest_amending
from entrypoints.http.api.context import Context
from entrypoints.http.messages.export_responses import TRACES_PATH, export_response
from entrypoints.http.messages.request_body import Allowance, check_values, export_format, read_body
from entrypoints.http.rejections import RejectedRequestError
from entrypoints.http.transport.connections import lease_of

INLINE_BODY_BYTES: Final = 16 * 1024
"""Up to this size, a request takes about as long to decode as to hand over to a thread."""

_LISTED: Final = 20
"""So many errors and so many warnings are looked at for a message: more do not fit."""

_PROTOBUF: Final = "adapters.wire.otlp.protobuf"


class _Reader(Protocol):
    """What both encodings have."""

    def read_export(self, body: bytes, max_values: int) -> list[SpanGroup]: ...


@attrs.frozen
class Otlp:
    """The handlers of what OpenTelemetry exports."""

    context: Context
    _readers: dict[ExportFormat, _Reader] = attrs.Factory(lambda: {ExportFormat.JSON: cast(_Reader, json)})
    """The decoders that are loaded."""

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this resource."""
        return [
            web.post(TRACES_PATH, self.post_traces),
            web.post("/v1/logs", self.post_unsupported),
            web.post("/v1/metrics", self.post_unsupported),
        ]

    async def post_traces(self, request: web.Request) -> web.Response:
        """Store the valid spans of a request, a slice at a time, and say which are not."""
        form = export_format(request)
        reader = await self._reader(form)
        groups = await self._read(request, form, reader)
        self.context.access.charge_runs(request, count_spans(groups))
        application = self.context.application
        report = await self._write(read_slices(groups, application.span_mapper, application.clock.now()))
        return export_response(form, report.rejected, report.message())

    async def post_unsupported(self, request: web.Request) -> web.Response:
        """Say what this server takes of OpenTelemetry."""
        raise RejectedRequestError(
            HTTPStatus.NOT_FOUND, f"{request.path} is not supported: of OTLP, this server takes {TRACES_PATH} only"
        )

    async def _reader(self, form: ExportFormat) -> _Reader:
        """Return the decoder of an encoding; that for Protocol Buffers is loaded when it is first needed."""
        if form not in self._readers:
            self._readers[form] = await self._load_protobuf(form)
        return self._readers[form]

    async def _load_protobuf(self, form: ExportFormat) -> _Reader:
        try:
            return cast(_Reader, await self.context.pools.decoding.run(partial(import_module, _PROTOBUF)))
        except ImportError:
            raise RejectedRequestError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"{form} needs a package that is not installed on the server: pip install 'runsink[otlp]'; without it, "
                f"send {ExportFormat.JSON}",
            ) from None

    async def _read(self, request: web.Request, form: ExportFormat, reader: _Reader) -> list[SpanGroup]:
        limits, run = self.context.application.limits, self.context.pools.decoding.run
        allowed = Allowance.of_traces(limits)
        body = await read_body(request, allowed, lease_of(request), run)

        def read() -> list[SpanGroup]:
            if form is ExportFormat.JSON:
                check_values(body, allowed)
            return reader.read_export(body, limits.max_body_values)

        return read() if len(body) <= INLINE_BODY_BYTES else await run(read)

    async def _write(self, slices: Iterator[SpanSlice]) -> "_Report":
        """Store the slices one after another; each is decoded when the one before it is durable."""
        report, decode = _Report(), partial(next, slices, None)
        more = True
        while more and (part := await self.context.pools.decoding.run(decode, begun=True)) is not None:
            result = await self.context.write(partial(ingest_amending, part.candidates, part.indices))
            self.context.application.note(Intake.OTLP, result)
            report.add(part, result)
            more = not part.last
        return report


@attrs.define
class _Report:
    """What became of the spans of a request, and the first messages about them."""

    rejected: int = 0
    left_alone: int = 0
    _errors: list[str] = attrs.Factory(list)
    _warnings: list[str] = attrs.Factory(list)

    def add(self, part: SpanSlice, result: BatchResult) -> None:
        """Add what became of a slice."""
        self.rejected += result.failed
        self.left_alone += len(result.conflicts)
        self._errors += [_error(refused) for refused in result.refused[:_LISTED]]
        self._warnings += part.warnings[:_LISTED]
        self._warnings += [
            f"span {conflict.event_id} was sent before with another {', '.join(conflict.fields)}; the first one stays"
            for conflict in result.conflicts[:_LISTED]
        ]
        del self._errors[_LISTED:], self._warnings[_LISTED:]

    def message(self) -> str:
        """Return what the sender is told: nothing if all is well."""
        rejected = [f"{self.rejected} spans were rejected: {'; '.join(self._errors)}"] if self.rejected else []
        return ". ".join([*rejected, *self._warnings])


def _error(refused: RefusedRun) -> str:
    name = f"span {refused.index}" if refused.event_id is None else f"span {refused.event_id}"
    return f"{name}: {', '.join(map(str, refused.errors))}"
