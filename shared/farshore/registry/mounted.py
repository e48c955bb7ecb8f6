"""Asks a registry's mounted volume what `RegistryClient` asks its process, with the same answers."""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from farshore.media_types import OCI_INDEX, OCI_MANIFEST
from farshore.oci import Digest, Repository, Tag
from farshore.registry.client import MAX_MANIFEST_BYTES, FetchedManifest
from farshore.registry.errors import RegistryAnsweredError, TimedOutError
from farshore.registry.storage import Storage, explained
from farshore.workers import Workers

THREADS = 8
"""Of one volume. Hashing wants as many as there are cores, reading from far away some more."""
BUFFER_BYTES = 128 * 1024
"""Of each thread. Small enough to stay in a core's cache between reading and hashing."""

Result = TypeVar("Result")


@dataclass(slots=True)
class _Reading:
    """A file being read in a thread: how far it is, and whether anybody still waits for it."""

    bytes_read: int = 0
    abandoned: bool = False


class MountedRegistry:
    """One registry's volume, mounted on this host; enter it before use.

    `timeout_seconds` is the longest silence of the volume's server. Methods raise what `RegistryClient`'s do, for the
    same reasons; UnreachableError also where the volume isn't mounted.
    """

    def __init__(self, storage: Storage, *, timeout_seconds: float = 30.0) -> None:
        self._storage = storage
        self._timeout = timeout_seconds
        self._workers = Workers(f"volume-{storage.path}", THREADS, lambda: memoryview(bytearray(BUFFER_BYTES)))
        self._turn = asyncio.Semaphore(THREADS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._workers.close()

    async def manifest(self, repository: Repository, reference: Digest | Tag) -> FetchedManifest:
        """The manifest that `reference` names."""

        def read(buffer: memoryview, reading: _Reading) -> FetchedManifest:
            digest = self._resolve(repository, reference)
            content = bytearray()
            for part in self._parts(digest, buffer, reading):
                content += part
                if len(content) > MAX_MANIFEST_BYTES:
                    raise RegistryAnsweredError(f"READ {digest}", 200, f"has more than {MAX_MANIFEST_BYTES} bytes")
            return FetchedManifest(bytes(content), _media_type(content))

        return await self._run(read)

    async def manifest_digest(self, repository: Repository, reference: Digest | Tag) -> Digest:
        """The digest that `reference` has in the storage; the bytes aren't read."""

        def look(_buffer: memoryview, _reading: _Reading) -> Digest:
            digest = self._resolve(repository, reference)
            os.close(self._storage.open_blob(digest))
            return digest

        return await self._run(look)

    async def blob_size(self, repository: Repository, digest: Digest) -> int:
        """The blob's size in bytes; not found where the repository isn't linked to it."""

        def look(_buffer: memoryview, _reading: _Reading) -> int:
            self._storage.check_layer_link(repository, digest)
            descriptor = self._storage.open_blob(digest)
            try:
                return os.fstat(descriptor).st_size
            finally:
                os.close(descriptor)

        return await self._run(look)

    async def hash_blob(
        self, repository: Repository, digest: Digest, algorithm: str = "sha256", *, limit: int | None = None
    ) -> tuple[str, int]:
        """Read the blob and return `(hex digest, bytes read)`, in constant memory; stops soon after `limit` bytes."""

        def read(buffer: memoryview, reading: _Reading) -> tuple[str, int]:
            self._storage.check_layer_link(repository, digest)
            hasher = hashlib.new(algorithm)
            for part in self._parts(digest, buffer, reading):
                hasher.update(part)
                if limit is not None and reading.bytes_read > limit:
                    break
            return hasher.hexdigest(), reading.bytes_read

        return await self._run(read)

    def _resolve(self, repository: Repository, reference: Digest | Tag) -> Digest:
        digest = reference if isinstance(reference, Digest) else self._storage.tag(repository, reference)
        self._storage.check_manifest_link(repository, digest)
        return digest

    def _parts(self, digest: Digest, buffer: memoryview, reading: _Reading) -> Iterator[memoryview]:
        """The blob's bytes, part by part in the same buffer; they end early once nobody waits for them."""
        descriptor = self._storage.open_blob(digest)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)  # the kernel reads further ahead
            while not reading.abandoned and (size := os.readv(descriptor, [buffer])):
                reading.bytes_read += size
                yield buffer[:size]
        except OSError as error:
            raise explained(error, f"READ {self._storage.path} {digest}") from error
        finally:
            os.close(descriptor)

    async def _run(self, work: Callable[[memoryview, _Reading], Result]) -> Result:
        """Do `work` in a thread; TimedOutError when the volume is silent, while the thread may hang on."""
        async with self._turn:
            reading = _Reading()
            task = asyncio.ensure_future(self._workers.run(lambda buffer: work(buffer, reading)))
            try:
                while True:
                    before = reading.bytes_read
                    done, _ = await asyncio.wait({task}, timeout=self._timeout)
                    if done:
                        return task.result()
                    if reading.bytes_read == before:
                        raise TimedOutError(f"READ {self._storage.path}", f"silent (waited {self._timeout:g} s)")
            finally:
                reading.abandoned = True
                task.cancel()


def _media_type(content: bytes | bytearray) -> str:
    """What a manifest without `mediaType` of its own is served as (distribution, registry/storage/manifeststore.go)."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    is_index = isinstance(document, dict) and bool(document.get("manifests"))
    return OCI_INDEX if is_index else OCI_MANIFEST
