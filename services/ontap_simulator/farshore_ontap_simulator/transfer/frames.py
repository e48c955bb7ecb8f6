"""The intercluster protocol's frames: a length, a kind, a payload. Every length is checked before it is believed.

    u32 length of the payload, u8 kind, payload

Control frames hold one JSON object; the others hold ids, chunks of tables, or blocks in the layouts below.
"""

from __future__ import annotations

import json
import socket
import struct
from enum import IntEnum
from typing import Any

import zstandard

from farshore_ontap_simulator.data.table import BLOCK_BYTES, HASH_BYTES, block_hash, split_hashes

MAX_PAYLOAD = 64 * 1024 * 1024
CHUNKS_PAYLOAD = 8 * 1024 * 1024  # a frame of chunks is closed once it holds this much
WANT_BLOCKS = 512
WANT_CHUNKS = 64
_HEAD = struct.Struct("<IB")
_CHUNK = struct.Struct("<16sI")
_BLOCKS = struct.Struct("<BI")
_LENGTH = struct.Struct("<H")
_RAW, _ZSTD = 0, 1


class Kind(IntEnum):
    CONTROL = 1
    NAMES = 2
    WANT_CHUNKS = 3
    CHUNKS = 4
    WANT_BLOCKS = 5
    BLOCKS = 6


class ProtocolError(Exception):
    """A peer sent what it must not."""


def frame(kind: Kind, payload: bytes) -> bytes:
    """One frame as bytes."""
    if len(payload) > MAX_PAYLOAD:
        raise ProtocolError(f"a payload of {len(payload)} bytes is too large")
    return _HEAD.pack(len(payload), kind) + payload


def control(message: dict[str, Any]) -> bytes:
    """A control frame."""
    return frame(Kind.CONTROL, json.dumps(message, separators=(",", ":")).encode())


def receive_exactly(connection: socket.socket, size: int) -> bytes:
    """`size` bytes. Raises ConnectionError at the end of the stream."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = connection.recv_into(view)
        if not count:
            raise ConnectionError("the peer closed the connection")
        view = view[count:]
    return bytes(data)


def receive(connection: socket.socket) -> tuple[Kind, bytes]:
    """The next frame. Raises ProtocolError for a bad one, ConnectionError or TimeoutError from the socket."""
    length, number = _HEAD.unpack(receive_exactly(connection, _HEAD.size))
    if length > MAX_PAYLOAD:
        raise ProtocolError(f"a payload of {length} bytes is too large")
    try:
        kind = Kind(number)
    except ValueError as error:
        raise ProtocolError(f"unknown kind of frame {number}") from error
    return kind, receive_exactly(connection, length)


def parse_control(payload: bytes) -> dict[str, Any]:
    """The object in a control frame. Raises ProtocolError."""
    try:
        message = json.loads(payload)
    except ValueError as error:
        raise ProtocolError("a control frame that is no JSON") from error
    if not isinstance(message, dict):
        raise ProtocolError("a control frame that is no object")
    return message


def parse_names(payload: bytes) -> list[bytes]:
    """Ids of chunks or blocks. Raises ProtocolError."""
    if len(payload) % HASH_BYTES:
        raise ProtocolError("a list of names of the wrong length")
    return split_hashes(payload)


def pack_chunks(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """Chunks of a table (id, bytes), compressed: metadata always is."""
    raw = b"".join(_CHUNK.pack(name, len(data)) + data for name, data in chunks)
    return zstandard.ZstdCompressor(level=1).compress(raw)


def parse_chunks(payload: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a frame, each one proved by its id. Raises ProtocolError."""
    raw = _decompress(payload, MAX_PAYLOAD)
    chunks = []
    at = 0
    while at < len(raw):
        if at + _CHUNK.size > len(raw):
            raise ProtocolError("a truncated chunk")
        name, length = _CHUNK.unpack_from(raw, at)
        at += _CHUNK.size
        data = raw[at : at + length]
        at += length
        if block_hash(data) != name:
            raise ProtocolError("a chunk that doesn't match its id")
        chunks.append((name, data))
    return chunks


def pack_blocks(blocks: list[bytes], compress: bool) -> bytes:
    """Blocks in the order in which they were wanted."""
    raw = b"".join([*(_LENGTH.pack(len(block)) for block in blocks), *blocks])
    if compress:
        packed = zstandard.ZstdCompressor(level=1).compress(raw)
        if len(packed) < len(raw):
            return _BLOCKS.pack(_ZSTD, len(blocks)) + packed
    return _BLOCKS.pack(_RAW, len(blocks)) + raw


def parse_blocks(payload: bytes, wanted: list[bytes]) -> list[tuple[bytes, bytes]]:
    """(hash, block) for each wanted hash, each proved by its hash. Raises ProtocolError."""
    if len(payload) < _BLOCKS.size:
        raise ProtocolError("a truncated frame of blocks")
    codec, count = _BLOCKS.unpack_from(payload)
    if count != len(wanted):
        raise ProtocolError("another number of blocks than was asked for")
    raw = payload[_BLOCKS.size :]
    if codec == _ZSTD:
        raw = _decompress(raw, count * (BLOCK_BYTES + _LENGTH.size))
    elif codec != _RAW:
        raise ProtocolError(f"unknown codec {codec}")
    at = count * _LENGTH.size
    if at > len(raw):
        raise ProtocolError("a truncated frame of blocks")
    blocks = []
    for index, name in enumerate(wanted):
        (length,) = _LENGTH.unpack_from(raw, index * _LENGTH.size)
        block = raw[at : at + length]
        at += length
        if block_hash(block) != name:
            raise ProtocolError("a block that doesn't match its hash")
        blocks.append((name, block))
    if at != len(raw):
        raise ProtocolError("bytes after the last block")
    return blocks


def _decompress(payload: bytes, limit: int) -> bytes:
    try:
        size = zstandard.frame_content_size(payload)
        if not 0 <= size <= limit:
            raise ProtocolError("a compressed frame without a believable size")
        return zstandard.ZstdDecompressor().decompress(payload, max_output_size=limit)
    except zstandard.ZstdError as error:
        raise ProtocolError("a compressed frame that can't be read") from error
