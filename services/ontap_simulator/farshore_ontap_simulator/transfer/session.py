"""The destination's end of a connection to a source cluster."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel

from farshore_ontap_simulator import errors
from farshore_ontap_simulator.errors import OntapError
from farshore_ontap_simulator.model.cluster import Cluster
from farshore_ontap_simulator.settings import parse_address
from farshore_ontap_simulator.transfer import frames, messages
from farshore_ontap_simulator.transfer.frames import Kind, ProtocolError
from farshore_ontap_simulator.transfer.link import Limits, PacedSender

CONNECT_SECONDS = 5.0
IDLE_SECONDS = 60.0
M = TypeVar("M", bound=BaseModel)


class UnreachableError(Exception):
    """The peer can't be talked to; what was under way may or may not have happened there."""


class SourceSession:
    """A connection to `peer`, whose requests raise UnreachableError, or OntapError where the peer refuses."""

    def __init__(self, cluster: Cluster, peer: str, throttle: Callable[[], float]) -> None:
        self._cluster = cluster
        self._peer = peer
        self._throttle = throttle
        self._sent_limits = Limits()
        address = parse_address(cluster.peer(peer).address)
        self.check_reachable()
        try:
            self._connection = socket.create_connection((address.host, address.port), CONNECT_SECONDS)
        except OSError as error:
            raise UnreachableError(f'Cluster "{peer}" cannot be reached: {error}.') from error
        self._connection.settimeout(IDLE_SECONDS)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sender = PacedSender(self._connection, cluster.pipe(peer), self._limits)
        self._received = 0

    @property
    def wire_bytes(self) -> int:
        """Bytes of all frames so far, both ways."""
        return self._received + self._sender.bytes_sent

    def check_reachable(self) -> None:
        """Raises UnreachableError while a fault cuts the link."""
        if self._cluster.faults.unreachable(self._peer):
            raise UnreachableError(f'Cluster "{self._peer}" cannot be reached: the link is down.')

    def _limits(self) -> Limits:
        return self._cluster.limits(self._peer).tightened(Limits(0.0, self._throttle()))

    def limits_message(self) -> messages.LimitsMessage:
        """What this side asks the source to keep to."""
        self._sent_limits = self._limits()
        return messages.LimitsMessage(
            latency_seconds=self._sent_limits.latency_seconds,
            bytes_per_second=self._sent_limits.bytes_per_second,
        )

    def send(self, data: bytes) -> None:
        """Send a frame, and before it new limits if they changed."""
        self.check_reachable()
        try:
            if self._limits() != self._sent_limits:
                self._sender.send(frames.control(self.limits_message().model_dump(mode="json")))
            self._sender.send(data)
        except OSError as error:
            raise UnreachableError(f'The connection to cluster "{self._peer}" broke: {error}.') from error

    def receive(self, expected: Kind) -> bytes:
        """The payload of the next frame. Raises OntapError for a refusal."""
        self.check_reachable()
        try:
            kind, payload = frames.receive(self._connection)
        except (OSError, ProtocolError) as error:
            raise UnreachableError(f'The connection to cluster "{self._peer}" broke: {error}.') from error
        self._received += len(payload) + 5
        if kind is Kind.CONTROL:
            message = frames.parse_control(payload)
            if "code" in message and "message" in message:
                refusal = messages.parse_reply(messages.Refusal, message)
                raise OntapError(refusal.code, refusal.message)
        if kind is not expected:
            raise UnreachableError(f'Cluster "{self._peer}" sent an unexpected frame.')
        return payload

    def ask(self, request: BaseModel, reply: type[M]) -> M:
        """One request, one reply."""
        self.send(frames.control(request.model_dump(mode="json")))
        try:
            return messages.parse_reply(reply, frames.parse_control(self.receive(Kind.CONTROL)))
        except ProtocolError as error:
            raise UnreachableError(f'Cluster "{self._peer}" sent {error}.') from error

    def cut(self) -> None:
        """Break the connection from another thread."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the session."""
        self._sender.close()
        self._connection.close()


def describe(cluster: Cluster, peer: str) -> messages.Described:
    """Ask a peer who it is. Raises UnreachableError or OntapError."""
    session = SourceSession(cluster, peer, lambda: 0.0)
    try:
        return session.ask(messages.Describe(cluster=cluster.settings.name), messages.Described)
    finally:
        session.close()


def unreachable_error(error: UnreachableError) -> OntapError:
    """An unreachable peer as ONTAP reports it."""
    return OntapError(errors.PEER_UNREACHABLE, str(error))
