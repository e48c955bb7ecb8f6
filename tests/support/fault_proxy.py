"""Stands in front of a real registry and does to its answers what registries, load balancers and networks do."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

_PASSED_ON = ("Content-Type", "Content-Length", "Docker-Content-Digest")


class Harm(Enum):
    """What is done to one answer."""

    CUT = "the connection breaks before the answer"
    HALF = "the connection breaks in the middle of the body"
    SILENCE = "no answer comes"
    SLOW = "the body comes in small portions with pauses"
    DRIBBLE = "the body comes byte by byte, never silent and never done"


_PAUSES: Mapping[Harm | None, float] = {Harm.SLOW: 0.05, Harm.DRIBBLE: 0.1}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that isn't the registry's."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """A request; `at` is time.monotonic()'s."""

    at: float
    method: str
    path: str


Fault = Callable[[str, str], Harm | Refusal | None]


def well(_method: str, _path: str) -> None:
    """No fault."""


class FaultProxy:
    """Passes requests on to `upstream`, but for what `fault(method, path)` says. A dead upstream looks dead."""

    def __init__(self, upstream: str) -> None:
        self.fault: Fault = well
        self.seen: list[Seen] = []
        self.passed = 0
        """Bytes of bodies that were passed on."""
        self.broken = 0
        """How often the registry ended in the middle of a body."""
        self._upstream = upstream
        self._ended = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        await self._runner.cleanup()
        await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(Seen(time.monotonic(), request.method, request.path))
        harm = self.fault(request.method, request.path)
        if isinstance(harm, Refusal):
            return web.Response(status=harm.status, headers=dict(harm.headers))
        if harm is Harm.SILENCE:
            await self._ended.wait()
        if harm in (Harm.SILENCE, Harm.CUT):
            return _hang_up(request)
        accept = {"Accept": request.headers.get("Accept", "*/*")}
        try:
            async with self._session.request(
                request.method, f"{self._upstream}{request.path_qs}", headers=accept, allow_redirects=False
            ) as answer:
                return await self._pass_on(request, answer, harm)
        except (aiohttp.ClientError, ConnectionResetError) as error:
            self.broken += isinstance(error, aiohttp.ClientPayloadError)
            return _hang_up(request)

    async def _pass_on(
        self, request: web.Request, answer: aiohttp.ClientResponse, harm: Harm | None
    ) -> web.StreamResponse:
        headers = {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        if request.method != "HEAD":
            async for chunk in answer.content.iter_chunked(64 * 1024):
                if harm is Harm.HALF:
                    await response.write(chunk[: len(chunk) // 2])
                    return _hang_up(request)
                for portion in [chunk[at : at + 1] for at in range(len(chunk))] if harm is Harm.DRIBBLE else [chunk]:
                    await response.write(portion)
                    self.passed += len(portion)
                    await asyncio.sleep(_PAUSES.get(harm, 0))
        await response.write_eof()
        return response


def _hang_up(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
