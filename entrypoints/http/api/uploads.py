"""Uploads: lenient and atomic batches, and single runs."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus

import attrs
from aiohttp import web

from adapters.wire.encode import batch_answer, count_error_bytes
from core.errors import BatchRolledBackError, EveryRunRefusedError, RunRefusedError
from core.model.batch import BatchResult, Candidate
from core.ports.observer import Intake
from core.use_cases.ingest import Admit, Mode, Upload, check_response_size, single_upload
from entrypoints.http.api.context import Context
from entrypoints.http.messages.headers import prefers_minimal
from entrypoints.http.messages.request_body import Allowance
from entrypoints.http.messages.responses import json_response
from entrypoints.http.transport.connections import lease_of
from entrypoints.request_ids import current_request_id


@attrs.frozen
class Uploads:
    """The handlers of uploads. ``partial_status`` is the status of a lenient upload in which some runs failed."""

    context: Context
    partial_status: int

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this resource."""
        return [
            web.post("/api/v1/runs/batch", self.post_batch),
            web.post("/api/v1/runs/batch-transactional", self.post_batch_transactional),
            web.post("/api/v1/runs", self.post_run),
        ]

    async def post_batch(self, request: web.Request) -> web.Response:
        """Store the valid runs of a batch and name the invalid ones."""
        upload = Upload(Mode.LENIENT, await self._read_batch(request), self._admission(request))
        result = await self._ingest(Intake.LENIENT, upload)
        return _batch_response(result, self.partial_status if result.failed else HTTPStatus.CREATED, upload.admit)

    async def post_batch_transactional(self, request: web.Request) -> web.Response:
        """Store all runs of a batch or none."""
        upload = Upload(Mode.ATOMIC, await self._read_batch(request), self._admission(request))
        result = await self._ingest(Intake.ATOMIC, upload)
        return _batch_response(result, HTTPStatus.CREATED, upload.admit)

    async def post_run(self, request: web.Request) -> web.Response:
        """Store one run, or return the existing one."""
        application = self.context.application
        candidate = await self.context.decode(
            request,
            self.context.run_allowance,
            lambda body: application.decoder.run(body, application.clock.now()),
        )
        self.context.access.charge_runs(request, 1)
        try:
            upload = single_upload(candidate, lease_of(request).cover)
            result: BatchResult = await self.context.completions.wait_for(partial(application.hand_over, upload))
        except RunRefusedError as error:
            application.note(Intake.SINGLE, BatchResult((), 1, 0, 0, failed=1, refused=(error.refused,)))
            raise
        application.note(Intake.SINGLE, result)
        return json_response(result.runs[0], status=HTTPStatus.CREATED)

    async def _ingest(self, intake: Intake, upload: Upload) -> BatchResult:
        """Store the runs and note what became of them, rejected batches included."""
        try:
            hand_over = self.context.application.hand_over
            result: BatchResult = await self.context.completions.wait_for(partial(hand_over, upload))
        except (EveryRunRefusedError, BatchRolledBackError) as error:
            self.context.application.note(intake, error.result)
            raise
        self.context.application.note(intake, result)
        return result

    async def _read_batch(self, request: web.Request) -> list[Candidate]:
        application, lease = self.context.application, lease_of(request)

        def decode(body: bytes) -> list[Candidate]:
            batch = application.decoder.batch(body, application.clock.now())
            # Every error repeats the ids of its run, so they can come to many times the body.
            lease.cover(count_error_bytes(batch))
            return batch

        batch = await self.context.decode(request, Allowance.of_batch(application.limits), decode)
        self.context.access.charge_runs(request, len(batch))
        return batch

    def _admission(self, request: web.Request) -> Admit | None:
        """Return a callback that extends the request's lease to cover the stored runs in the response."""
        if prefers_minimal(request):
            return None
        lease, limit = lease_of(request), self.context.application.limits.max_response_bytes

        def admit(size: int) -> None:
            check_response_size(size, limit)
            lease.cover(size)

        return admit


def _batch_response(result: BatchResult, status: int, admit: Callable[[int], object] | None) -> web.Response:
    headers = None if admit else {"Preference-Applied": "return=minimal"}
    body = batch_answer(result)
    if status >= HTTPStatus.BAD_REQUEST:
        body["request_id"] = current_request_id()
    return json_response(body, status=status, headers=headers)
