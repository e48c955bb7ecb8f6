"""HTTP: authentication, faults, dispatch, waiting for jobs, and the way back."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import logging
import time
from urllib.parse import parse_qsl, unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from farshore_ontap_simulator.errors import INTERNAL, NOT_AUTHORIZED, NOT_IN_THE_ROLE, OntapError
from farshore_ontap_simulator.faults import DropReply, Refuse, Slow
from farshore_ontap_simulator.model.records import Job
from farshore_ontap_simulator.rest import cluster_calls, query, security_calls, snapmirror_calls, storage_calls
from farshore_ontap_simulator.rest.api import Answer, Json, Request, Route, Services
from farshore_ontap_simulator.rest.roles import allows

LOG = logging.getLogger(__name__)
MAX_BODY_BYTES = 1 << 20
_TRANSPORT = "farshore.transport"

ROUTES: tuple[Route, ...] = (
    *cluster_calls.ROUTES,
    *security_calls.ROUTES,
    *storage_calls.ROUTES,
    *snapmirror_calls.ROUTES,
)


class TransportProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with the connection in the scope, so that a fault can cut it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope.setdefault("extensions", {})[_TRANSPORT] = {"transport": self.transport}


class Reboots:
    """Until when REST answers 503 because the cluster is coming up again (monotonic seconds)."""

    def __init__(self) -> None:
        self.until = 0.0


class Api:
    """The ASGI application of `/api`; everything else goes to `control`."""

    def __init__(self, services: Services, control: ASGIApp, reboots: Reboots) -> None:
        self._services = services
        self._control = control
        self._reboots = reboots
        settings = services.cluster.settings
        self._credentials = f"{settings.username}:{settings.password}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        if not scope["path"].startswith("/api"):
            await self._control(scope, receive, send)
            return
        request = HttpRequest(scope, receive)
        faults = self._services.cluster.faults.on_request(request.method, scope["path"])
        refusal = next((fault for fault in faults if isinstance(fault, Refuse)), None)
        if time.monotonic() < self._reboots.until:
            refusal = Refuse(kind="refuse", status=503, message="The cluster is starting.")
        if refusal is not None:
            error = OntapError(refusal.code or INTERNAL, refusal.message, status=refusal.status)
            response: Response = JSONResponse(error.body(), refusal.status)
        else:
            response = await self._respond(request)
        delay = sum(fault.seconds for fault in faults if isinstance(fault, Slow))
        if delay:
            await asyncio.sleep(delay)
        if any(isinstance(fault, DropReply) for fault in faults):
            await self._drop(scope, receive)
            return
        await response(scope, receive, send)

    @staticmethod
    async def _drop(scope: Scope, receive: Receive) -> None:
        scope["extensions"][_TRANSPORT]["transport"].abort()
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _respond(self, http: HttpRequest) -> Response:
        user = self._user(http.headers.get("authorization", ""))
        if user is None:
            error = OntapError(NOT_AUTHORIZED, "User is not authorized.", status=401)
            return JSONResponse(error.body(), 401, {"WWW-Authenticate": 'Basic realm="Authorization Required"'})
        try:
            self._check_role(user, http.method, http.url.path)
            route, request = await self._parse(http)
            self._services.calls.add((user, route.method, route.path))
            answer = await run_in_threadpool(self._call, route, request)
            return await self._reply(request, answer)
        except OntapError as error:
            return JSONResponse(error.body(), error.status)

    def _user(self, header: str) -> str | None:
        """Who asks; None for a stranger."""
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            given = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            return None
        name, _, password = given.decode(errors="replace").partition(":")
        if hmac.compare_digest(given, self._credentials):
            return name
        account = self._services.cluster.store.accounts.get(name)
        digest = hashlib.sha256(password.encode()).hexdigest()
        return name if account is not None and hmac.compare_digest(account.password_sha256, digest) else None

    def _check_role(self, user: str, method: str, path: str) -> None:
        """Raises OntapError where the user's role doesn't allow it; the first user may do everything."""
        cluster = self._services.cluster
        if user == cluster.settings.username:
            return
        account = cluster.store.accounts.get(user)
        role = cluster.store.roles.get(account.role) if account is not None else None
        if role is None or not allows(role.privileges, method, path):
            raise OntapError(NOT_IN_THE_ROLE, "not authorized for that command", status=403)

    async def _parse(self, http: HttpRequest) -> tuple[Route, Request]:
        path = http.url.path.rstrip("/")
        known = False
        for route in ROUTES:
            names = route.match(path)
            if names is None:
                continue
            known = True
            if route.method == http.method:
                parameters = parse_qsl(http.url.query, keep_blank_values=True)
                request = Request(
                    path=path,
                    names={name: unquote(value) for name, value in names.items()},
                    query=query.parse(parameters, route.flags),
                    flags=dict(parameters),
                    body=await self._body(http),
                )
                return route, request
        if known:
            raise OntapError(3, f'Method "{http.method}" is not allowed here.', status=405)
        raise OntapError(3, f'API not found: "{path}".', status=404)

    @staticmethod
    async def _body(http: HttpRequest) -> Json:
        data = bytearray()
        async for part in http.stream():
            data += part
            if len(data) > MAX_BODY_BYTES:
                raise OntapError(262257, "The request body is too large.", status=413)
        if not data:
            return {}
        try:
            body = json.loads(data)
        except ValueError as error:
            raise OntapError(262198, "The request body is not valid JSON.") from error
        if not isinstance(body, dict):
            raise OntapError(262198, "The request body is not a JSON object.")
        return body

    def _call(self, route: Route, request: Request) -> Answer:
        if route.method == "GET" and not route.asks_peers:
            with self._services.cluster.store.lock:
                return route.handler(self._services, request)
        return route.handler(self._services, request)

    async def _wait(self, job: Job, seconds: float) -> bool:
        """Wait for a job's end, False if it takes longer; a waiting request holds no thread. Raises OntapError."""
        began = time.monotonic()
        while not self._services.cluster.jobs.ended(job):
            waited = time.monotonic() - began
            if waited > seconds:
                return False
            await asyncio.sleep(min(0.001 + waited / 10, 0.05))
        return True

    async def _reply(self, request: Request, answer: Answer) -> Response:
        headers = {} if answer.location is None else {"Location": answer.location}
        if answer.job is None:
            return JSONResponse(answer.body, answer.status, headers)
        job = answer.job
        body: Json = {
            "job": {"uuid": job.uuid, "_links": {"self": {"href": f"/api/cluster/jobs/{job.uuid}"}}},
        }
        seconds = request.query.return_timeout or 0
        if not seconds or not await self._wait(job, seconds):
            return JSONResponse(body, 202, headers)
        if answer.made is not None:
            body["num_records"] = 1
            if request.flags.get("return_records", "false").lower() == "true":
                body["records"] = [answer.made()]
        return JSONResponse(body, answer.done_status, headers)
