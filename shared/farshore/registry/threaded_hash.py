"""Hashes a stream beside the event loop: while a stretch of it is hashed in a thread, the next is read."""

import asyncio
import hashlib

STRETCH_BYTES = 1024 * 1024
"""What a thread is given at once. Handing over costs about as much as hashing 64 KiB does."""


class ThreadedHash:
    """`add` what comes, then take `finish`. Holds two stretches at most: `add` waits for the one before the last."""

    def __init__(self, algorithm: str) -> None:
        self._hasher = hashlib.new(algorithm)
        self._collected: list[bytes] = []
        self._bytes = 0
        self._hashing: asyncio.Future[None] | None = None

    async def add(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._collected.append(chunk)
        self._bytes += len(chunk)
        if self._bytes >= STRETCH_BYTES:
            await self._until_hashed()
            stretch, self._collected, self._bytes = self._collected, [], 0
            self._hashing = asyncio.get_running_loop().run_in_executor(None, self._hash, stretch)

    async def finish(self) -> str:
        """The hex digest of all that was added."""
        await self._until_hashed()
        self._hash(self._collected)
        return self._hasher.hexdigest()

    async def _until_hashed(self) -> None:
        if self._hashing is not None:
            await self._hashing
            self._hashing = None

    def _hash(self, stretch: list[bytes]) -> None:
        for chunk in stretch:
            self._hasher.update(chunk)
