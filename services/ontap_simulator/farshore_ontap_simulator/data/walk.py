"""Walk a tree's metadata: cheap, and enough to tell which files may have changed."""

from __future__ import annotations

import os
import stat
from operator import itemgetter
from typing import NamedTuple

from farshore_ontap_simulator.data.table import DIRECTORY, FILE, SYMLINK


class Found(NamedTuple):
    """One path as `lstat` shows it."""

    path: bytes
    kind: int
    mode: int
    size: int
    mtime_ns: int
    inode: int
    ctime_ns: int


def walk(root: bytes) -> list[Found]:
    """Everything below `root`, sorted by path; sockets, pipes and devices are left out.

    What vanishes during the walk is left out as well.
    """
    found: list[Found] = []
    add = found.append
    folders: list[tuple[bytes, bytes]] = [(root, b"")]
    while folders:
        folder, prefix = folders.pop()
        try:
            scan = os.scandir(folder)
        except (FileNotFoundError, NotADirectoryError):
            continue
        with scan:
            for entry in scan:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                mode = status.st_mode
                path = prefix + entry.name
                if stat.S_ISREG(mode):
                    kind, size = FILE, status.st_size
                elif stat.S_ISDIR(mode):
                    kind, size = DIRECTORY, 0
                    folders.append((entry.path, path + b"/"))
                elif stat.S_ISLNK(mode):
                    kind, size = SYMLINK, 0
                else:
                    continue
                add(Found(path, kind, mode & 0o7777, size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns))
    found.sort(key=itemgetter(0))
    return found
