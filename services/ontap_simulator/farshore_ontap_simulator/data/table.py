"""A snapshot's table: every path with its metadata and the hashes of its 4 KiB blocks.

A table is a sequence of chunks that are addressed by their content. Where one chunk ends is decided by the paths
alone, so that two snapshots, on whatever cluster, share all the chunks in which nothing changed: comparing tables
means comparing lists of chunk ids.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

BLOCK_BYTES = 4096
HASH_BYTES = 16
FILE, DIRECTORY, SYMLINK = 0, 1, 2

_HEAD = struct.Struct("<HBIQqI")
_CHUNK_MASK = 0xFF  # on average 256 entries a chunk
_LARGE_BLOB = 64 * 1024  # a file of 16 MiB and more closes its chunk, so that its hashes travel only with it


class Entry(NamedTuple):
    """One path. `blob` is the concatenated block hashes of a file or the target of a symbolic link."""

    path: bytes
    kind: int
    mode: int
    size: int
    mtime_ns: int
    blob: bytes


def block_hash(block: bytes | memoryview) -> bytes:
    """The name of a block: 16 bytes of SHA-256."""
    return hashlib.sha256(block).digest()[:HASH_BYTES]


def split_hashes(blob: bytes) -> list[bytes]:
    """A concatenation of hashes as a list."""
    return [blob[at : at + HASH_BYTES] for at in range(0, len(blob), HASH_BYTES)]


def encode_chunks(entries: Iterable[Entry]) -> Iterator[tuple[bytes, bytes]]:
    """Cut entries, sorted by path, into chunks: yields (id, bytes)."""
    parts: list[bytes] = []
    count = 0
    pack = _HEAD.pack
    for path, kind, mode, size, mtime_ns, blob in entries:
        parts += (pack(len(path), kind, mode, size, mtime_ns, len(blob)), path, blob)
        count += 1
        if not zlib.crc32(path) & _CHUNK_MASK or len(blob) >= _LARGE_BLOB:
            data = b"".join(parts)
            yield block_hash(data), data
            parts, count = [], 0
    if count:
        data = b"".join(parts)
        yield block_hash(data), data


def decode_chunk(data: bytes) -> list[Entry]:
    """The entries of a chunk. Raises ValueError for bytes that are no chunk."""
    entries = []
    at = 0
    try:
        while at < len(data):
            path_length, kind, mode, size, mtime_ns, blob_length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            path = data[at : at + path_length]
            at += path_length
            blob = data[at : at + blob_length]
            at += blob_length
            entries.append(Entry(path, kind, mode, size, mtime_ns, blob))
    except struct.error as error:
        raise ValueError("truncated chunk") from error
    if at != len(data):
        raise ValueError("truncated chunk")
    return entries


def check_entries(entries: Iterable[Entry]) -> None:
    """Refuse what a peer must never be able to write: paths out of the tree, wrong kinds, wrong hash counts.

    Raises ValueError.
    """
    for entry in entries:
        parts = entry.path.split(b"/")
        if not entry.path or b"\0" in entry.path or any(part in (b"", b".", b"..") for part in parts):
            raise ValueError(f"unsafe path {entry.path!r}")
        if entry.kind not in (FILE, DIRECTORY, SYMLINK):
            raise ValueError(f"unknown kind {entry.kind}")
        if entry.kind == FILE and len(entry.blob) != HASH_BYTES * -(-entry.size // BLOCK_BYTES):
            raise ValueError(f"wrong number of blocks for {entry.path!r}")
