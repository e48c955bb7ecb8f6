"""Step 0: one connection, with an end to how long and how much a client may keep the receiver waiting.

uvicorn waits without limit for a request's head, for the rest of a body that was answered early, and for a client that
doesn't read its answers; each such connection costs memory and a file descriptor. Bodies have their own limit
(`read_body.py`), and so has a connection between two requests (uvicorn's keep-alive).
"""

import asyncio
import socket
import struct
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, ClassVar, cast

from starlette.types import Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from farshore_receiver import metrics, problems
from farshore_receiver.problems import Problem
from farshore_receiver.read_body import BODY_IS_HERE

_LONGEST_HEAD_BYTES = 64 * 1024
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """`patience` in seconds: for a head, for the rest of a body that nobody reads, and for an answer to be read."""

    patience: float
    connections: int


class _Owed(Enum):
    """What the client has to send next."""

    REQUEST = auto()
    """Nothing has come of it yet."""
    HEAD = auto()
    BODY = auto()
    NOTHING = auto()
    """It waits for an answer."""


class _OneReadAtATime(FlowControl):
    """Reads on only when no request waits for its turn.

    uvicorn reads on after every answer, and each reading may bring thousands of requests to wait: a client that never
    ends asking would take all memory there is.
    """

    def __init__(self, transport: asyncio.Transport, waiting: Collection[object]) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


class GuardedConnection(HttpToolsProtocol):
    """uvicorn's connection with `limits`. Beyond their number one is told to come back, and far beyond it is cut."""

    limits: ClassVar[ConnectionLimits]

    @classmethod
    def limited_by(cls, limits: ConnectionLimits) -> type["GuardedConnection"]:
        """The class to give to uvicorn, which makes the connections."""
        return type(cls.__name__, (cls,), {"limits": limits})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _OneReadAtATime(transport, self.pipeline)
        metrics.connections.inc()
        self._owed = _Owed.REQUEST
        self._head_bytes = 0
        self._piece_bytes = 0
        self._bytes_before_head = 0
        self._watch: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        beyond = len(self.connections) - self.limits.connections
        self._is_one_too_many = beyond > 0
        if beyond > self.limits.connections // 8 + 8:
            self._cut("far-too-many")
        self._watch_over()

    def connection_lost(self, exc: Exception | None) -> None:
        metrics.connections.dec()
        self._stop_watching()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._piece_bytes = len(data)
        self._bytes_before_head = 0 if self._owed in (_Owed.REQUEST, _Owed.NOTHING) else len(data)
        super().data_received(data)
        if self._owed is _Owed.HEAD:
            self._head_bytes += len(data)
            if self._head_bytes > _LONGEST_HEAD_BYTES:
                self._refuse(problems.LONG_HEAD)
        if self._owed is not _Owed.NOTHING:
            self._watch_over()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._owed = _Owed.HEAD
        self._head_bytes = -self._bytes_before_head

    def on_headers_complete(self) -> None:
        self._owed = _Owed.BODY
        self._bytes_before_head = self._piece_bytes  # whatever begins in this piece, most of it may be something else
        self._stop_watching()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._owed = _Owed.NOTHING
        self._stop_watching()
        cast(Scope, self.scope)[BODY_IS_HERE] = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch_over()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self.limits.patience, self._cut, "unread-answer")

    def resume_writing(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def _watch_over(self) -> None:
        """Begin to count, unless it has begun, where nobody else does."""
        if self._watch is not None or self._owed is _Owed.NOTHING or self.transport.is_closing():
            return
        if self._owed is not _Owed.BODY or self.cycle.response_complete:
            self._watch = self.loop.call_later(self.limits.patience, self._run_out)

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _run_out(self) -> None:
        self._watch = None
        if self._owed is _Owed.HEAD:
            if self.cycle is None or self.cycle.response_complete:
                self._refuse(problems.SLOW_HEAD)
            else:  # the one before it has no answer yet, and reading may rest until then
                self._watch_over()
        else:
            self._cut("silent" if self._owed is _Owed.REQUEST else "slow")

    def _refuse(self, problem: Problem) -> None:
        """Answer what never became a request."""
        metrics.cut_connections.labels(problem.code).inc()
        self._stop_watching()
        self.transport.write(problem.response())
        self.transport.close()

    def _cut(self, reason: str) -> None:
        """Close by a reset: the kernel would keep what the client doesn't read, megabytes, for minutes."""
        metrics.cut_connections.labels(reason).inc()
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """uvicorn's answer to what isn't HTTP, as a problem."""
        self._refuse(problems.NOT_HTTP)

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: anybody could fill the log with it. The request is answered as if it hadn't asked."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        super()._start_asgi_task(cycle, _come_back if self._is_one_too_many else app)


async def _come_back(_scope: Any, _receive: Any, send: Any) -> None:
    metrics.cut_connections.labels(problems.TOO_MANY_CONNECTIONS.code).inc()
    await problems.TOO_MANY_CONNECTIONS.send(send)
