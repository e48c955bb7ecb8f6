"""A registry's content as its storage has it, read from a mounted volume: link files and blobs, and nothing believed.

Layout: CNCF distribution 2.8 and 3.x, filesystem driver (registry/storage/paths.go). Below the volume's root,
`docker/registry/v2` has `blobs/ALGORITHM/XX/HEX/data`, and for each repository the link files that tie manifests and
blobs to it. A registry doesn't serve a blob in a repository that has no link to it, so it isn't found here either.

Everything is opened from one directory down, component by component, without following symbolic links: the path that
is configured may be one, what the volume holds may not. All of this blocks; `mounted.py` keeps it off the event loop.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from farshore.oci import Digest, InvalidNameError, Repository, Tag
from farshore.registry.errors import ContentNotFoundError, RegistryAnsweredError, RegistryError, UnreachableError

_ROOT = ("docker", "registry", "v2")
_MAX_LINK_BYTES = 256
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # not blocking: a FIFO would
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})


@dataclass(frozen=True, slots=True)
class Storage:
    """The volume at `path`, with the content of one registry.

    `mount_point`: a file system has to be mounted at `path`; what is there while none is isn't the volume's. Methods
    raise ContentNotFoundError only while the volume itself is there, otherwise UnreachableError, and
    RegistryAnsweredError where the storage holds something that no registry would serve.
    """

    path: Path
    mount_point: bool = True

    def tag(self, repository: Repository, tag: Tag) -> Digest:
        """What `tag` means."""
        return self._link(repository, "_manifests", "tags", tag, "current")

    def check_manifest_link(self, repository: Repository, digest: Digest) -> None:
        """That `repository` has the manifest."""
        self._check_link(repository, digest, "_manifests", "revisions")

    def check_layer_link(self, repository: Repository, digest: Digest) -> None:
        """That `repository` has the blob."""
        self._check_link(repository, digest, "_layers")

    def open_blob(self, digest: Digest) -> int:
        """A descriptor of the regular file with the blob's bytes; the caller closes it."""
        return self._open("blobs", digest.algorithm, digest.hex[:2], digest.hex, "data")

    def _check_link(self, repository: Repository, digest: Digest, *parts: str) -> None:
        found = self._link(repository, *parts, digest.algorithm, digest.hex)
        if found != digest:
            raise RegistryAnsweredError(f"READ {self.path} {repository}", 500, f"the link of {digest} names {found}")

    def _link(self, repository: Repository, *parts: str) -> Digest:
        place = ("repositories", *repository.split("/"), *parts, "link")
        descriptor = self._open(*place)
        try:
            content = os.read(descriptor, _MAX_LINK_BYTES)
        except OSError as error:
            raise explained(error, self._subject(place)) from error
        finally:
            os.close(descriptor)
        try:
            return Digest.parse(content.decode(errors="replace").strip())
        except InvalidNameError:
            # distribution 2.8 writes links in place: a snapshot can catch one empty, and the registry answers 500
            raise RegistryAnsweredError(self._subject(place), 500, "the link names no digest") from None

    def _open(self, *place: str) -> int:
        with self._root() as (directory, identity):
            try:
                descriptor = _open_below(directory, place)
            except OSError as error:
                if error.errno in _ABSENT:
                    self._check_still(identity)
                raise explained(error, self._subject(place)) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise RegistryAnsweredError(self._subject(place), 500, "not a regular file")
        return descriptor

    @contextmanager
    def _root(self) -> Iterator[tuple[int, tuple[int, int]]]:
        """A descriptor of the registry's root directory, and the identity of the volume's.

        Absence up to here is the volume's, not the content's: it isn't mounted, or it is another one.
        """
        with ExitStack() as opened:
            try:
                directory = os.open(self.path, _DIRECTORY)
                opened.callback(os.close, directory)
                here, above = os.fstat(directory), os.stat("..", dir_fd=directory)
                if self.mount_point and here.st_dev == above.st_dev and here.st_ino != above.st_ino:
                    raise UnreachableError(f"READ {self.path}", "no file system is mounted here")
                for name in _ROOT:
                    directory = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
                    opened.callback(os.close, directory)
            except OSError as error:
                reason = f"no registry's volume is here ({error.strerror})"
                raise UnreachableError(f"READ {self.path}", reason) from error
            yield directory, (here.st_dev, here.st_ino)

    def _check_still(self, identity: tuple[int, int]) -> None:
        """An absence counts only if the volume that was looked at is still the one at the path: while the view of
        another snapshot takes its place, the old one may be taken down file by file.
        """
        with self._root() as (_, now):
            if now != identity:
                raise UnreachableError(f"READ {self.path}", "the volume was switched while it was read")

    def _subject(self, place: tuple[str, ...]) -> str:
        return f"READ {self.path.joinpath(*_ROOT, *place)}"


def explained(error: OSError, subject: str) -> RegistryError:
    """What an error of the file system says about content that should be there."""
    reason = error.strerror or type(error).__name__
    if error.errno in _ABSENT:
        return ContentNotFoundError(subject)
    if error.errno == errno.ELOOP:
        return RegistryAnsweredError(subject, 500, "a symbolic link, which no registry writes")
    if error.errno in (errno.EACCES, errno.EPERM):
        return RegistryAnsweredError(subject, 403, reason)
    return UnreachableError(subject, reason)  # EIO, ESTALE: the volume's server is away, or the view was switched


def _open_below(directory: int, place: tuple[str, ...]) -> int:
    with ExitStack() as opened:
        for name in place[:-1]:
            directory = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            opened.callback(os.close, directory)
        return os.open(place[-1], _FILE | os.O_NOFOLLOW, dir_fd=directory)
