"""How every call to one cluster runs: in the cluster's own threads, traced, counted, and with jobs awaited."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

from opentelemetry import metrics, trace

from farshore.errors import FarshoreError, RetryClass
from farshore.ontap import parse
from farshore.ontap.connection import Change, Connection, Params, Reply
from farshore.ontap.errors import Call, OntapError, classify, hint_for
from farshore.ontap.model import Job, JobState
from farshore.reread import kept_secret
from farshore.telemetry.spans import span
from farshore.topology import Cluster
from farshore.workers import Workers

Parsed = TypeVar("Parsed")
Result = TypeVar("Result")

_REQUESTS = metrics.get_meter("farshore.ontap").create_counter(
    "farshore.ontap.requests", unit="{request}", description="Requests to ONTAP clusters by call and outcome"
)
_TRACER = trace.get_tracer("farshore.ontap")

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0


class Calls:
    """Base of the client of one cluster. Use as an asynchronous context manager."""

    def __init__(self, site: str, settings: Cluster) -> None:
        self.site = site
        self.settings = settings
        self._workers: Workers[Connection] | None = None

    async def __aenter__(self) -> Self:
        password = kept_secret(self.settings.password, setting=f"sites.{self.site}.ontap.password")
        self._workers = Workers(
            self.site,
            self.settings.max_requests,
            lambda: Connection(self.site, self.settings, password),
            Connection.close,
        )
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._workers is not None:
            self._workers.close()

    async def wait_for_job(self, uuid: str, *, call: Call | None = None, deadline: float = 60.0) -> Job:
        """The job `uuid` when it has ended well; `call` is what began it and gives its error code a meaning.

        Raises OntapError: the job's own failure (rediscover without `call`); rediscover too when the job is gone (about
        300 s after its end) or hasn't ended `deadline` seconds from now.
        """
        ends = time.monotonic() + deadline
        pause = FIRST_PAUSE
        while True:
            job = await self._read("read job", f"/cluster/jobs/{uuid}", parse.JOB_FIELDS, parse.job)
            if job.state is JobState.SUCCESS:
                return job
            if job.finished:
                message = job.message or "the job failed"
                retry = RetryClass.REDISCOVER
                if call is not None and job.code is not None:
                    retry = classify(call, job.code, None, message)
                raise OntapError(
                    "wait for job",
                    f"{uuid} at {self.site}",
                    message if job.code is None else f"{message} [{job.code}]",
                    retry=retry,
                    hint=hint_for(retry, job.code, message),
                    code=job.code,
                )
            if time.monotonic() >= ends:
                raise OntapError(
                    "wait for job",
                    f"{uuid} at {self.site}",
                    f"still {job.state} after {deadline:g} s",
                    retry=RetryClass.REDISCOVER,
                )
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _read(
        self, operation: str, path: str, fields: str, parsed: Callable[[parse.Record], Parsed], **query: str | int
    ) -> Parsed:
        params: Params = {"fields": fields, **query}
        return await self._run(
            operation,
            lambda connection: _understood(
                operation, f"{path} at {self.site}", lambda: parsed(connection.get(operation, path, params))
            ),
        )

    async def _list(
        self, operation: str, path: str, fields: str, parsed: Callable[[parse.Record], Parsed], **query: str | int
    ) -> list[Parsed]:
        params: Params = {"fields": fields, **query}
        return await self._run(
            operation,
            lambda connection: _understood(
                operation,
                f"{path} at {self.site}",
                lambda: [parsed(record) for record in connection.records(operation, path, params)],
            ),
        )

    async def _change(self, operation: str, subject: str, call: Call, act: Change) -> Reply:
        return await self._run(operation, lambda connection: connection.change(operation, subject, call, act))

    async def _finish(self, reply: Reply, call: Call, *, deadline: float = 60.0) -> None:
        """Wait for the job of `reply`, if it has one."""
        if reply.job_uuid is not None:
            await self.wait_for_job(reply.job_uuid, call=call, deadline=deadline)

    async def _run(self, operation: str, work: Callable[[Connection], Result]) -> Result:
        if self._workers is None:
            raise FarshoreError(operation, f"at {self.site}", "the client isn't open", hint="use async with")
        labels = {"cluster": self.site, "call": operation}
        with self._span(operation):
            try:
                result = await self._workers.run(work)
            except OntapError as error:
                _REQUESTS.add(1, {**labels, "outcome": str(error.retry)})
                raise
            _REQUESTS.add(1, {**labels, "outcome": "ok"})
            return result

    def _span(self, operation: str) -> AbstractContextManager[object]:
        """One within the span that the call belongs to. The many looks that belong to none would be a trace each."""
        if not trace.get_current_span().get_span_context().is_valid:
            return nullcontext()
        address = urlsplit(self.settings.url)
        attributes: dict[str, str | int] = {"farshore.site": self.site, "server.address": address.hostname or ""}
        if address.port:
            attributes["server.port"] = address.port
        return span(_TRACER, f"ontap {operation}", trace.SpanKind.CLIENT, attributes)

    def _return_timeout(self) -> int:
        """Seconds for which a change may wait for its job (`return_timeout`), well within our own time-out."""
        return min(int(self.settings.timeout / 2), 15)


def _understood(operation: str, subject: str, read: Callable[[], Result]) -> Result:
    try:
        return read()
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise OntapError(
            operation,
            subject,
            f"an answer that isn't understood: {error!r}",
            retry=RetryClass.RETRY_SOON,
            hint="is there an ONTAP cluster, 9.12 or newer, at this address?",
        ) from error
