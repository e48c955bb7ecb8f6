"""Take a snapshot of a living tree: a true point in time, reading only what changed since the last one.

With registered writers: stop them, read what changed since the last snapshot, let them go on. Where that is more than
a little, it is read while they run, and only what changed since then while they are stopped. Without: walk and read
until two walks in a row agree.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from farshore_ontap_simulator.data.blocks import BlockStore, Table
from farshore_ontap_simulator.data.freeze import FreezeError, Writer, frozen, living
from farshore_ontap_simulator.data.table import (
    BLOCK_BYTES,
    FILE,
    SYMLINK,
    Entry,
    block_hash,
    encode_chunks,
)
from farshore_ontap_simulator.data.walk import Found, walk

# A file that changed within this time before it was read may change again without a new time stamp: file systems
# stamp with the kernel's coarse clock, which ticks every 1 to 10 ms.
_RACY_NS = 50_000_000
_READ_BYTES = 1 << 20
_UNSETTLED_ROUNDS = 6
_FREEZE_ROUNDS = 3
_FROZEN_READ_BYTES = 4 << 20
_IDENTITY = struct.Struct("<Qq")
_UNKNOWN = (0, 0)


@dataclass(frozen=True, slots=True)
class Taken:
    """A table and how it was got: `settled` is False when the tree never held still and nobody could stop it."""

    table: Table
    rounds: int
    bytes_read: int
    stopped_seconds: float
    settled: bool


class _TooMuchError(Exception):
    """More changed than may be read while the writers are stopped."""


class _Known:
    """What the last round knew of the tree: entries by path, and the inode and change time that they were read at."""

    def __init__(self, entries: list[Entry], identities: list[tuple[int, int]]) -> None:
        self.entries = entries
        self.by_path = {entry.path: (entry, identity) for entry, identity in zip(entries, identities, strict=True)}


class Snapshotter:
    """Takes the snapshots of one tree into one store, and remembers what it saw last."""

    def __init__(self, store: BlockStore, memory: Path) -> None:
        self._store = store
        self._memory = memory
        self._known: _Known | None = None
        self._version = ""

    def forget(self) -> None:
        """The tree was replaced: read everything the next time."""
        self._known = None
        self._memory.unlink(missing_ok=True)

    def forget_unless(self, versions: Collection[str]) -> None:
        """Forget what was seen last if its snapshot isn't among `versions`: its blocks may be gone."""
        if self._known is not None and self._version not in versions:
            self.forget()

    def take(self, root: Path, writers: Sequence[Writer], version: str) -> Taken:
        """Snapshot `root` into the store under the name `version`.

        Raises FreezeError if registered writers can't be held long enough.
        """
        tree = os.fsencode(root)
        known = self._known or self._load()
        rounds, bytes_read, stopped, settled = 0, 0, 0.0, False
        if living(writers):
            most: int | None = _FROZEN_READ_BYTES
            while not settled:
                try:
                    with frozen(writers) as freeze:
                        began = time.monotonic()
                        try:
                            known, _, more = self._round(tree, known, most)
                        finally:
                            stopped += time.monotonic() - began
                        settled = freeze.held
                    bytes_read += more
                except _TooMuchError:
                    most = None
                    known, _, more = self._round(tree, known)
                    bytes_read += more
                except FreezeError:
                    if rounds == _FREEZE_ROUNDS:
                        raise
                rounds += 1
                if not settled and rounds > _FREEZE_ROUNDS:
                    raise FreezeError("the writers could not be held for as long as the snapshot needed")
        else:
            known, _, bytes_read = self._round(tree, known)
            rounds = 1
            while not settled and rounds < _UNSETTLED_ROUNDS:
                known, changed, more = self._round(tree, known)
                rounds += 1
                bytes_read += more
                settled = not changed
        self._store.commit()
        table = self._keep(known, version)
        return Taken(table, rounds, bytes_read, stopped, settled)

    def _round(self, tree: bytes, known: _Known, most: int | None = None) -> tuple[_Known, bool, int]:
        """One walk; reads what may have changed. Returns the new knowledge, whether anything differs, bytes read.

        Raises _TooMuchError where more than `most` bytes would have to be read.
        """
        entries: list[Entry] = []
        identities: list[tuple[int, int]] = []
        bytes_read = 0
        old_by_path = known.by_path
        for found in walk(tree):
            path, kind, mode, size, mtime_ns, inode, ctime_ns = found
            old = old_by_path.get(path)
            identity = _UNKNOWN
            if kind == FILE:
                if old is not None:
                    entry, seen = old
                    if (
                        seen == (inode, ctime_ns)
                        and entry.kind == FILE
                        and entry.size == size
                        and entry.mtime_ns == mtime_ns
                        and entry.mode == mode
                    ):
                        entries.append(entry)
                        identities.append(seen)
                        continue
                if most is not None and bytes_read + size > most:
                    raise _TooMuchError
                read = self._read_file(tree + b"/" + path, found)
                if read is None:
                    continue
                new, identity = read
                bytes_read += new.size
            elif kind == SYMLINK:
                try:
                    new = Entry(path, kind, 0o777, 0, mtime_ns, os.readlink(tree + b"/" + path))  # noqa: PTH115 - paths are bytes here
                except OSError:
                    continue
            else:
                new = Entry(path, kind, mode, 0, mtime_ns, b"")
            entries.append(new)
            identities.append(identity)
        return _Known(entries, identities), entries != known.entries, bytes_read

    def _read_file(self, path: bytes, found: Found) -> tuple[Entry, tuple[int, int]] | None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            before = os.fstat(descriptor)
            began = time.time_ns()
            names: list[bytes] = []
            size = 0
            while data := os.read(descriptor, _READ_BYTES):
                # A short read in mid-file would shift all later blocks.
                while len(data) % BLOCK_BYTES and (more := os.read(descriptor, _READ_BYTES)):
                    data += more
                view = memoryview(data)
                blocks = [view[at : at + BLOCK_BYTES] for at in range(0, len(data), BLOCK_BYTES)]
                hashes = [block_hash(block) for block in blocks]
                lacking = set(self._store.missing(hashes))
                if lacking:
                    self._store.put(
                        (name, block) for name, block in zip(hashes, blocks, strict=True) if name in lacking
                    )
                names += hashes
                size += len(data)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        steady = (before.st_ctime_ns, before.st_size) == (after.st_ctime_ns, size)
        racy = not steady or before.st_ctime_ns >= began - _RACY_NS
        entry = Entry(found.path, FILE, before.st_mode & 0o7777, size, before.st_mtime_ns, b"".join(names))
        return entry, (_UNKNOWN if racy else (before.st_ino, before.st_ctime_ns))

    def _keep(self, known: _Known, version: str) -> Table:
        names: list[bytes] = []
        chunks = dict(encode_chunks(known.entries))
        names = list(chunks)
        lacking = set(self._store.missing_chunks(names))
        self._store.put_chunks((name, data) for name, data in chunks.items() if name in lacking)
        files = [entry.size for entry in known.entries if entry.kind == FILE]
        table = Table(tuple(names), len(files), sum(files))
        self._store.put_table(version, table)
        self._known, self._version = known, version
        self._save(known, version)
        return table

    def _save(self, known: _Known, version: str) -> None:
        pack = _IDENTITY.pack
        data = version.encode() + b"\n" + b"".join(pack(*known.by_path[entry.path][1]) for entry in known.entries)
        new = self._memory.with_suffix(".new")
        new.write_bytes(data)
        new.replace(self._memory)

    def _load(self) -> _Known:
        """What was known after the last snapshot before a restart; nothing if that isn't certain."""
        nothing = _Known([], [])
        try:
            version, _, packed = self._memory.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return nothing
        table = self._store.table(version.decode(errors="replace"))
        if table is None:
            return nothing
        entries = list(self._store.entries(table))
        if len(packed) != _IDENTITY.size * len(entries):
            return nothing
        return _Known(entries, [(inode, ctime) for inode, ctime in _IDENTITY.iter_unpack(packed)])
