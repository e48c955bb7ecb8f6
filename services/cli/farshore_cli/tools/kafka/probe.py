"""Ask a Kafka node, over its own protocol, whether it is in service.

A few bytes by hand instead of a client: the answer is needed without an event loop.
Source: Kafka protocol guide, request header v1, Metadata v2 (https://kafka.apache.org/protocol).
"""

import socket
import struct
from dataclasses import dataclass

_METADATA = 3
_METADATA_VERSION = 2
_CLIENT_ID = b"farshore-probe"
_LARGEST_ANSWER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ClusterView:
    """What a node says of its cluster: whose it is, and which brokers (by node id) are in service."""

    cluster_id: str
    brokers: frozenset[int]


def ask_cluster(host: str, port: int, *, timeout_seconds: float = 1.0) -> ClusterView | None:
    """The view of the node at `host:port`; None when nobody there answers as Kafka does.

    A node counts itself only once the controller let it in, which is when clients can use it. Compare the
    cluster id with the expected one: another Kafka may have the port.
    """
    try:
        with socket.create_connection((host, port), timeout=timeout_seconds) as connection:
            connection.sendall(_metadata_request())
            (size,) = struct.unpack(">i", _read(connection, 4))
            if not 8 <= size <= _LARGEST_ANSWER_BYTES:
                return None
            return _parse(_read(connection, size))
    except (OSError, struct.error, UnicodeDecodeError):
        return None


def _metadata_request() -> bytes:
    header = struct.pack(">hhih", _METADATA, _METADATA_VERSION, 1, len(_CLIENT_ID)) + _CLIENT_ID
    no_topics = struct.pack(">i", 0)
    body = header + no_topics
    return struct.pack(">i", len(body)) + body


def _parse(answer: bytes) -> ClusterView:
    reader = _Reader(answer)
    reader.int32()  # correlation id
    brokers = set()
    for _ in range(reader.int32()):
        brokers.add(reader.int32())
        reader.string()  # host
        reader.int32()  # port
        reader.string()  # rack
    return ClusterView(cluster_id=reader.string(), brokers=frozenset(brokers))


class _Reader:
    """Kafka's primitive types, one after another."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def int32(self) -> int:
        return int.from_bytes(self._take(4), signed=True)

    def string(self) -> str:
        length = int.from_bytes(self._take(2), signed=True)  # -1: null
        return self._take(max(length, 0)).decode()

    def _take(self, size: int) -> bytes:
        piece = self._data[self._position : self._position + size]
        if len(piece) < size:
            raise struct.error("the answer is too short")
        self._position += size
        return piece


def _read(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ConnectionResetError("closed in the middle of an answer")
        data += piece
    return bytes(data)
