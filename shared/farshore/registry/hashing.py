"""Reads large blobs and hashes them in threads: a blocking connection and a buffer each, from the socket into the hash.

An event loop takes nearly as long for the bytes of a body as SHA-256 does, and both in one thread. Here both are done
outside of the interpreter's lock, so that several blobs at once use several cores
(docs/adr/0016-blobs-are-hashed-in-threads.md).
"""

import asyncio
import contextlib
import hashlib
import socket
import ssl
import threading
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead

from multidict import CIMultiDict
from yarl import URL

from farshore.registry.answers import (
    MAX_REDIRECTS,
    REDIRECTS,
    Restraint,
    ended_early,
    longest_seconds,
    not_connected,
    not_http,
    raise_for_status,
    redirected,
    redirects_without_end,
    timed_out,
)
from farshore.registry.errors import UnreachableError
from farshore.workers import Workers

THREADS = 32
"""Of one registry, made when they are needed: eight images with four blobs each, the verifier's default."""
BUFFER_BYTES = 256 * 1024
"""Of each thread."""
HEADERS = {"User-Agent": "farshore", "Accept-Encoding": "identity"}
"""Identity: digests are of bytes as they are stored."""


class BlobHasher:
    """Hashes blobs of the registry at `base`, behind `tls` where that is https.

    `timeout_seconds` is the longest silence. More than THREADS blobs at once wait for one another.
    """

    def __init__(self, base: URL, tls: ssl.SSLContext | None, timeout_seconds: float, restraint: Restraint) -> None:
        self._base = base
        self._timeout = timeout_seconds
        self._restraint = restraint
        self._turn = asyncio.Semaphore(THREADS)
        self._workers = Workers(
            f"blobs-{base.host}",
            THREADS,
            lambda: _Connection(base, tls, timeout_seconds, restraint),
            _Connection.close,
        )

    def close(self) -> None:
        """End the threads; does not wait for them."""
        self._workers.close()

    async def hash(self, path: str, algorithm: str, limit: int | None) -> tuple[str, int]:
        """Read what is at `path`: its hash in hexadecimal, and how many bytes it has. Stops soon after `limit` bytes.

        Raises what `RegistryClient` does. When nobody waits any more, the connection is cut: the thread is free again.
        """
        async with self._turn:
            reading = _Reading(self._base.join(URL(path, encoded=True)), algorithm, limit)
            await asyncio.sleep(max(0.0, self._restraint.seconds))
            try:
                async with asyncio.timeout(longest_seconds(self._timeout, limit)):
                    await self._workers.run(lambda connection: connection.read(reading))
            except TimeoutError:
                raise timed_out(reading.subject, self._timeout) from None
            finally:
                reading.cut()
        return reading.hasher.hexdigest(), reading.size


class _Reading:
    """One blob being read in a thread, and the way to stop that from outside."""

    def __init__(self, url: URL, algorithm: str, limit: int | None) -> None:
        self.url = url
        self.subject = f"GET {url}"
        self.hasher = hashlib.new(algorithm)
        self.size = 0
        self.limit = limit
        self._socket: socket.socket | None = None
        self._over = False
        self._lock = threading.Lock()

    def uses(self, connected: socket.socket | None) -> None:
        """The thread reads from this socket from now on; from none once it has ended."""
        with self._lock:
            self._socket = connected
            self._shut_if_over()

    def cut(self) -> None:
        """Nobody waits any more: what the thread reads ends at once."""
        with self._lock:
            self._over = True
            self._shut_if_over()

    def _shut_if_over(self) -> None:
        if self._over and self._socket is not None:
            with contextlib.suppress(OSError):
                # the plain socket's: an SSLSocket would take its TLS away from under the reading thread
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _Connection:
    """One connection, kept from blob to blob, and one buffer; for one thread."""

    def __init__(self, base: URL, tls: ssl.SSLContext | None, timeout_seconds: float, restraint: Restraint) -> None:
        self._timeout = timeout_seconds
        self._restraint = restraint
        host = base.host or ""
        self._http = (
            HTTPSConnection(host, base.port, timeout=timeout_seconds, context=tls)
            if base.scheme == "https"
            else HTTPConnection(host, base.port, timeout=timeout_seconds)
        )
        self._buffer = memoryview(bytearray(BUFFER_BYTES))

    def close(self) -> None:
        """Close the connection; the next blob opens another one."""
        self._http.close()

    def read(self, reading: _Reading) -> None:
        """Read the blob to its end, or until it is longer than it should be."""
        whole = False
        try:
            with self._answer(reading) as response:
                whole = self._hash(response, reading)
        except TimeoutError as error:
            raise timed_out(reading.subject, self._timeout) from error
        except OSError as error:
            raise UnreachableError(reading.subject, "the connection broke") from error
        except HTTPException as error:
            raise not_http(reading.subject, error) from error
        finally:
            reading.uses(None)
            if not whole:
                self.close()

    def _answer(self, reading: _Reading) -> HTTPResponse:
        """The answer with the blob, redirects within the origin followed."""
        url = reading.url
        for _ in range(MAX_REDIRECTS + 1):
            response = self._ask(url, reading)
            if response.status not in REDIRECTS:
                self._restraint.heed(response.status, CIMultiDict(response.headers.items()))
                raise_for_status(reading.subject, response.status, response.reason)
                return response
            self.close()
            url = redirected(url, reading.subject, response.status, response.headers.get("Location", ""))
        raise redirects_without_end(reading.subject)

    def _ask(self, url: URL, reading: _Reading) -> HTTPResponse:
        kept = self._http.sock is not None
        try:
            return self._ask_once(url, reading)
        except (ConnectionError, ssl.SSLError):
            if not kept:
                raise
        self.close()  # the registry had closed what was idle: the next connection is fresh
        return self._ask_once(url, reading)

    def _ask_once(self, url: URL, reading: _Reading) -> HTTPResponse:
        if self._http.sock is None:
            try:
                self._http.connect()
            except OSError as error:
                raise not_connected(reading.subject, error) from error
        reading.uses(self._http.sock)
        self._http.request("GET", url.raw_path_qs, headers=HEADERS)
        return self._http.getresponse()

    def _hash(self, response: HTTPResponse, reading: _Reading) -> bool:
        """Whether the body was read to its end."""
        length = response.length
        try:
            while size := response.readinto(self._buffer):
                reading.hasher.update(self._buffer[:size])
                reading.size += size
                if reading.limit is not None and reading.size > reading.limit:
                    return False
        except TimeoutError:
            raise
        except (OSError, IncompleteRead) as error:
            raise ended_early(reading.subject) from error
        if length is not None and reading.size != length:
            raise ended_early(reading.subject)
        return True
