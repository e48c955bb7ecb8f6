"""Build the tree that a snapshot describes, and switch what clients see in one step."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from farshore_ontap_simulator.data.blocks import BlockReader, BlockStore, Table
from farshore_ontap_simulator.data.table import DIRECTORY, FILE, Entry, decode_chunk, split_hashes

_BATCH = 256


def build(store: BlockStore, table: Table, target: Path, old: tuple[Table, Path] | None = None) -> None:
    """Write the tree of `table` to `target`; what is equal in `old` (its table and its tree) becomes a hard link.

    The old tree must be one that nobody writes to. Raises KeyError if a block or a chunk is missing.
    """
    same_chunks, old_entries, old_root = _old_side(store, table, old)
    root = os.fsencode(target)
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    folders: list[Entry] = []
    with store.reader() as reader:
        for name in table.chunks:
            unchanged = name in same_chunks
            for entry in decode_chunk(store.chunk(name)):
                path = root + b"/" + entry.path
                if entry.kind == DIRECTORY:
                    os.mkdir(path, 0o700)  # noqa: PTH102 - paths are bytes here
                    folders.append(entry)
                elif old_root is not None and (unchanged or old_entries.get(entry.path) == entry):
                    os.link(old_root + b"/" + entry.path, path, follow_symlinks=False)
                elif entry.kind == FILE:
                    _write(reader, entry, path)
                else:
                    os.symlink(entry.blob, path)  # noqa: PTH211 - paths are bytes here
                    os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)
    for entry in reversed(folders):
        path = root + b"/" + entry.path
        os.chmod(path, entry.mode)  # noqa: PTH101 - paths are bytes here
        os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))


def _old_side(
    store: BlockStore, table: Table, old: tuple[Table, Path] | None
) -> tuple[frozenset[bytes], dict[bytes, Entry], bytes | None]:
    if old is None:
        return frozenset(), {}, None
    old_table, old_path = old
    same = frozenset(old_table.chunks) & frozenset(table.chunks)
    entries = {
        entry.path: entry for name in old_table.chunks if name not in same for entry in decode_chunk(store.chunk(name))
    }
    return same, entries, os.fsencode(old_path)


def _write(reader: BlockReader, entry: Entry, path: bytes) -> None:
    names = split_hashes(entry.blob)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        for at in range(0, len(names), _BATCH):
            data = b"".join(reader.read(names[at : at + _BATCH]))
            while data:
                data = data[os.write(descriptor, data) :]
        os.fchmod(descriptor, entry.mode)
        os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
    finally:
        os.close(descriptor)


def switch(link: Path, target: Path) -> None:
    """Point the symbolic link `link` at `target` in one atomic step."""
    link.parent.mkdir(parents=True, exist_ok=True)
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)
