"""A volume's block store: unique 4 KiB blocks in append-only packs, with a sqlite index.

Blocks are compressed together in groups of 32 KiB (ONTAP's compression groups are 8 to 32 KiB) where that saves at
least an eighth; else they are stored as they are. The index also holds the tables of snapshots and their chunks. A pack
is written before the index names it, so that a killed process leaves at most an unnamed tail.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import zstandard

from farshore_ontap_simulator.data.table import FILE, Entry, decode_chunk, split_hashes

GROUP_BYTES = 32 * 1024
PACK_BYTES = 256 * 1024 * 1024
_RAW, _ZSTD = 0, 1
_QUERY = 500
_CACHED_GROUPS = 128

_SCHEMA = """
CREATE TABLE IF NOT EXISTS blocks(hash BLOB PRIMARY KEY, grp INTEGER, start INTEGER, length INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS groups(id INTEGER PRIMARY KEY, pack INTEGER, start INTEGER, stored INTEGER, raw INTEGER,
                                  codec INTEGER);
CREATE TABLE IF NOT EXISTS chunks(id BLOB PRIMARY KEY, data BLOB);
CREATE TABLE IF NOT EXISTS tables(version TEXT PRIMARY KEY, chunks BLOB, files INTEGER, logical INTEGER);
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A snapshot's table in the store: chunk ids in path order, how many files, and the sum of their sizes."""

    chunks: tuple[bytes, ...]
    files: int
    logical_bytes: int


@dataclass(frozen=True, slots=True)
class AtRest:
    """What a store holds, in bytes: unique blocks before and after compression."""

    unique_bytes: int
    physical_bytes: int


class BlockStore:
    """The blocks of one volume. Safe to use from several threads: one lock for writers, one connection per thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._lock = threading.RLock()
        self._pending: dict[bytes, bytes] = {}
        self._pending_bytes = 0
        self._new_groups: list[tuple[int, int, int, int, int, int]] = []
        self._new_blocks: list[tuple[bytes, int, int, int]] = []
        self._new_names: set[bytes] = set()
        self._compressor = zstandard.ZstdCompressor(level=1)
        connection = self._connection()
        connection.executescript(_SCHEMA)
        self._next_group = (connection.execute("SELECT max(id) FROM groups").fetchone()[0] or 0) + 1
        self._pack = max((int(path.stem) for path in folder.glob("*.pack")), default=1)
        self._file = self._open_pack()

    def close(self) -> None:
        """Close files and connections; what was put without `commit` is forgotten."""
        with self._lock:
            self._file.close()
            for connection in self._connections:
                connection.close()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                self._folder / "index.db", timeout=60, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA cache_size=-16384")
            self._local.connection = connection
            self._connections.append(connection)
        return connection

    def _open_pack(self) -> BinaryIO:
        return (self._folder / f"{self._pack}.pack").open("ab", buffering=1 << 20)

    # writing

    def missing(self, hashes: Sequence[bytes]) -> list[bytes]:
        """Those of `hashes`, each once and in order, that the store lacks."""
        wanted = list(dict.fromkeys(hashes))
        with self._lock:
            wanted = [name for name in wanted if name not in self._pending and name not in self._new_names]
            known: set[bytes] = set()
            for at in range(0, len(wanted), _QUERY):
                part = wanted[at : at + _QUERY]
                known.update(
                    row[0]
                    for row in self._connection().execute(
                        f"SELECT hash FROM blocks WHERE hash IN ({','.join('?' * len(part))})",
                        part,
                    )
                )
        return [name for name in wanted if name not in known]

    def put(self, blocks: Iterable[tuple[bytes, bytes | memoryview]]) -> None:
        """Add blocks that `missing` named. They become durable with `commit`."""
        with self._lock:
            for name, block in blocks:
                if name in self._pending or name in self._new_names:
                    continue
                self._pending[name] = bytes(block)
                self._pending_bytes += len(block)
                if self._pending_bytes >= GROUP_BYTES:
                    self._write_group()

    def _write_group(self) -> None:
        if not self._pending:
            return
        raw = b"".join(self._pending.values())
        packed = self._compressor.compress(raw)
        codec, stored = (_ZSTD, packed) if len(packed) <= len(raw) * 7 // 8 else (_RAW, raw)
        if self._file.tell() >= PACK_BYTES:
            self._file.close()
            self._pack += 1
            self._file = self._open_pack()
        start = self._file.tell()
        self._file.write(stored)
        at = 0
        for name, block in self._pending.items():
            self._new_blocks.append((name, self._next_group, at, len(block)))
            at += len(block)
        self._new_groups.append((self._next_group, self._pack, start, len(stored), len(raw), codec))
        self._new_names.update(self._pending)
        self._next_group += 1
        self._pending = {}
        self._pending_bytes = 0

    def commit(self) -> None:
        """Make all blocks put so far durable against the process's death."""
        with self._lock:
            self._write_group()
            if not self._new_groups:
                return
            self._file.flush()
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR REPLACE INTO groups VALUES (?,?,?,?,?,?)", self._new_groups)
            connection.executemany("INSERT OR IGNORE INTO blocks VALUES (?,?,?,?)", sorted(self._new_blocks))
            connection.execute("COMMIT")
            self._new_groups, self._new_blocks, self._new_names = [], [], set()

    # tables

    def put_chunks(self, chunks: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep chunks (id, bytes) of a table."""
        compress = zstandard.ZstdCompressor(level=1).compress
        with self._lock:
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT OR IGNORE INTO chunks VALUES (?,?)", ((name, compress(data)) for name, data in chunks)
            )
            connection.execute("COMMIT")

    def missing_chunks(self, names: Sequence[bytes]) -> list[bytes]:
        """Those chunk ids, each once, that the store lacks."""
        known = {row[0] for row in self._connection().execute("SELECT id FROM chunks")}
        return [name for name in dict.fromkeys(names) if name not in known]

    def chunk(self, name: bytes) -> bytes:
        """The bytes of a chunk. Raises KeyError."""
        row = self._connection().execute("SELECT data FROM chunks WHERE id=?", (name,)).fetchone()
        if row is None:
            raise KeyError(name.hex())
        return zstandard.ZstdDecompressor().decompress(row[0])

    def put_table(self, version: str, table: Table) -> None:
        """Name a complete table by its snapshot's version uuid."""
        with self._lock:
            self._connection().execute(
                "INSERT OR REPLACE INTO tables VALUES (?,?,?,?)",
                (version, b"".join(table.chunks), table.files, table.logical_bytes),
            )

    def table(self, version: str) -> Table | None:
        """The table of a snapshot, or None."""
        row = (
            self._connection()
            .execute("SELECT chunks, files, logical FROM tables WHERE version=?", (version,))
            .fetchone()
        )
        return None if row is None else Table(tuple(split_hashes(row[0])), row[1], row[2])

    def entries(self, table: Table) -> Iterator[Entry]:
        """All entries of a table in path order."""
        for name in table.chunks:
            yield from decode_chunk(self.chunk(name))

    # reading

    def reader(self) -> BlockReader:
        """A reader for one thread, with its own small cache."""
        return BlockReader(self._folder, self._connection())

    # accounting and reclaiming

    def at_rest(self) -> AtRest:
        """Bytes of committed blocks, before and after compression."""
        raw, stored = (
            self._connection().execute("SELECT coalesce(sum(raw),0), coalesce(sum(stored),0) FROM groups").fetchone()
        )
        return AtRest(raw, stored)

    def reclaim(self, versions: Iterable[str], *, thorough: bool) -> None:
        """Forget tables, chunks and blocks that no snapshot in `versions` reaches.

        Call it only while nothing writes to or sends from this store. Without `thorough` only what deleted snapshots
        leave behind is looked at, not what half-done work left. A group with a living block stays whole; a pack
        without any group is deleted.
        """
        keep = set(versions)
        with self._lock:
            self.commit()
            connection = self._connection()
            tables = dict(connection.execute("SELECT version, chunks FROM tables").fetchall())
            dead_tables = [version for version in tables if version not in keep]
            if not dead_tables and not thorough:
                return
            living = {name for version in keep & set(tables) for name in split_hashes(tables[version])}
            if thorough:
                known = {row[0] for row in connection.execute("SELECT id FROM chunks")}
                candidates = {row[0] for row in connection.execute("SELECT hash FROM blocks")}
            else:
                known = {name for version in dead_tables for name in split_hashes(tables[version])}
                candidates = self._reached(known - living)
            if candidates:
                candidates -= self._reached(living)
            self._delete(dead_tables, known - living, candidates)

    def _reached(self, chunks: Iterable[bytes]) -> set[bytes]:
        """The blocks that chunks name."""
        return {
            block
            for name in chunks
            for entry in decode_chunk(self.chunk(name))
            if entry.kind == FILE
            for block in split_hashes(entry.blob)
        }

    def _delete(self, versions: Iterable[str], chunks: Iterable[bytes], blocks: Iterable[bytes]) -> None:
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("DELETE FROM tables WHERE version=?", ((version,) for version in versions))
        connection.executemany("DELETE FROM chunks WHERE id=?", ((name,) for name in chunks))
        before = connection.total_changes
        connection.executemany("DELETE FROM blocks WHERE hash=?", ((name,) for name in blocks))
        shrunk = connection.total_changes > before
        if shrunk:
            connection.execute("DELETE FROM groups WHERE id NOT IN (SELECT grp FROM blocks)")
        connection.execute("COMMIT")
        if shrunk:
            used = {row[0] for row in connection.execute("SELECT DISTINCT pack FROM groups")}
            for path in self._folder.glob("*.pack"):
                if int(path.stem) not in used and int(path.stem) != self._pack:
                    path.unlink()


class BlockReader:
    """Reads blocks by hash; neighbours come from the same decompressed group."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self._folder = folder
        self._connection = connection
        self._packs: dict[int, int] = {}
        self._groups: OrderedDict[int, bytes] = OrderedDict()
        self._decompress = zstandard.ZstdDecompressor().decompress

    def close(self) -> None:
        for descriptor in self._packs.values():
            os.close(descriptor)
        self._packs = {}

    def __enter__(self) -> BlockReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, hashes: Sequence[bytes]) -> list[bytes]:
        """The blocks named, in that order. Raises KeyError for one that isn't there."""
        places: dict[bytes, tuple[int, int, int]] = {}
        unique = list(set(hashes))
        for at in range(0, len(unique), _QUERY):
            part = unique[at : at + _QUERY]
            query = f"SELECT hash, grp, start, length FROM blocks WHERE hash IN ({','.join('?' * len(part))})"
            with closing(self._connection.execute(query, part)) as rows:
                for name, group, start, length in rows:
                    places[name] = (group, start, length)
        blocks = []
        for name in hashes:
            place = places.get(name)
            if place is None:
                raise KeyError(name.hex())
            group, start, length = place
            blocks.append(self._group(group)[start : start + length])
        return blocks

    def _group(self, group: int) -> bytes:
        data = self._groups.get(group)
        if data is not None:
            return data
        pack, start, stored, raw, codec = self._connection.execute(
            "SELECT pack, start, stored, raw, codec FROM groups WHERE id=?", (group,)
        ).fetchone()
        descriptor = self._packs.get(pack)
        if descriptor is None:
            descriptor = self._packs[pack] = os.open(self._folder / f"{pack}.pack", os.O_RDONLY)
        data = os.pread(descriptor, stored, start)
        if codec == _ZSTD:
            data = self._decompress(data, max_output_size=raw)
        self._groups[group] = data
        if len(self._groups) > _CACHED_GROUPS:
            self._groups.popitem(last=False)
        return data
