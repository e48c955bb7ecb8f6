"""Layers made of files that are on this machine: real content, the same bytes each time it is asked for."""

import os
import sys
import sysconfig
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG

from farshore.errors import FarshoreError, RetryClass

_SMALLEST_FILE_BYTES = 2 << 10  # a tar of very small files is mostly headers
_LARGEST_FILE_BYTES = 8 << 20
_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # zlib's way to ask for a gzip header, which it writes without a time stamp
_GZIP_LEVEL = 1


def default_folders() -> list[Path]:
    """Where files are taken from, in this order."""
    return [Path(sysconfig.get_path("stdlib")), Path("/usr/lib"), Path("/usr/share"), Path(sys.prefix) / "lib"]


class Material:
    """Hands out files, each once."""

    def __init__(self, folders: list[Path]) -> None:
        self._files = _files(folders)
        self._wanted = True

    def give_up(self) -> None:
        """Make the layer that is being made, by another thread, end in an error soon."""
        self._wanted = False

    def layer(self, size: int) -> bytes:
        """A tar compressed by gzip of at least `size` bytes, and few more."""
        compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
        output = bytearray()
        for entry in self._entries():
            output += compressor.compress(entry)
            if len(output) >= size:
                break
        return bytes(output + compressor.compress(_END_OF_TAR) + compressor.flush())

    def raw_layer(self, size: int) -> bytes:
        """A plain tar of at least `size` bytes, as images of models and data sets have it."""
        output = bytearray()
        for entry in self._entries():
            output += entry
            if len(output) >= size:
                break
        return bytes(output + _END_OF_TAR)

    def _entries(self) -> Iterator[bytes]:
        for path in self._files:
            if not self._wanted:
                raise FarshoreError("make layers of", "files on this machine", "given up")
            try:
                yield _entry(str(path).lstrip("/"), path.read_bytes())
            except OSError:  # not for this user's eyes, or gone
                continue
        raise FarshoreError("make layers of", "files on this machine", "there are too few", retry=RetryClass.OPERATOR)


def changed(raw_layer: bytes, *, every: int = 4 << 20) -> bytes:
    """`raw_layer` as a later version has it: one byte in each `every` bytes is another, and a file is added."""
    content = bytearray(raw_layer[: -len(_END_OF_TAR)])
    # beyond 512: the first block of a tar is a header
    for position in range(every // 2, len(content), every):
        content[position] ^= 0xFF
    return bytes(content + _entry("notes/what-changed.txt", b"fine-tuned\n" * 1000) + _END_OF_TAR)


_END_OF_TAR = b"\0" * 1024


def _entry(name: str, content: bytes) -> bytes:
    """One file of a tar, with nothing in it that depends on the machine's users or clock."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    padding = b"\0" * (-len(content) % tarfile.BLOCKSIZE)
    return info.tobuf(tarfile.PAX_FORMAT) + content + padding


def _files(folders: list[Path]) -> Iterator[Path]:
    for folder in folders:
        for parent, children, names in os.walk(folder):
            children.sort()
            children[:] = [child for child in children if child != "__pycache__"]
            for name in sorted(names):
                path = Path(parent, name)
                try:
                    status = path.lstat()
                except FileNotFoundError:  # gone since the folder was read
                    continue
                if S_ISREG(status.st_mode) and _SMALLEST_FILE_BYTES <= status.st_size <= _LARGEST_FILE_BYTES:
                    yield path
