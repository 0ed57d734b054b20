"""Background jobs: looking at them, cancelling and removing them."""

from contextlib import suppress
from http import HTTPStatus
from typing import Protocol

import attrs
from aiohttp import web

from adapters.spool import Spool
from adapters.wire.encode import job_answer, job_page_answer
from adapters.wire.query import parse_jobs_query
from core.errors import StoreError
from core.model.job import JobId
from core.use_cases.jobs import delete_job, get_job, list_jobs
from entrypoints.http.api.context import Context
from entrypoints.http.messages.responses import json_response


class Jobs(Protocol):
    """What takes the bodies of jobs and runs them."""

    def spool(self) -> Spool:
        """Return the spool, which is made if it is missing; raises ``StoreError``."""
        ...

    def wake(self) -> None:
        """Say that a job was queued."""
        ...

    def discard(self, job_id: JobId) -> None:
        """Remove the body of a job that is finished or gone, unless it is being read just now."""
        ...


@attrs.frozen
class JobsResource:
    """The handlers of jobs."""

    context: Context
    jobs: Jobs

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this resource."""
        return [
            web.get("/api/v1/jobs", self.get_jobs),
            web.get("/api/v1/jobs/{job_id:[^/]+}", self.get_job),
            web.delete("/api/v1/jobs/{job_id:[^/]+}", self.delete_job),
        ]

    async def get_jobs(self, request: web.Request) -> web.Response:
        """Return a page of jobs, newest first."""
        which, asked = parse_jobs_query(request.query.items(), self.context.application.limits)
        return await self.context.read_jobs(request, lambda jobs: job_page_answer(list_jobs(which, asked, jobs)))

    async def get_job(self, request: web.Request) -> web.Response:
        """Return one job."""
        job_id = request.match_info["job_id"]
        return await self.context.read_jobs(request, lambda jobs: job_answer(get_job(job_id, jobs)))

    async def delete_job(self, request: web.Request) -> web.Response:
        """Cancel an unfinished job, or remove a finished one."""
        job_id, now = request.match_info["job_id"], self.context.application.clock.now()
        job = await self.context.write(lambda work: delete_job(job_id, now, work))
        with suppress(StoreError):
            # What cannot be removed now is removed by the runner's next sweep.
            await self.context.pools.spooling.run(lambda: self.jobs.discard(JobId(job_id)), begun=True)
        if job is None:
            return web.Response(status=HTTPStatus.NO_CONTENT)
        return json_response(job_answer(job))
