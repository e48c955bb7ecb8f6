"""Bandwidth and latency of a link, kept by whoever sends."""

from __future__ import annotations

import collections
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

_QUEUED_BYTES = 8 * 1024 * 1024
_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """One-way latency in seconds and bytes per second; 0 bytes per second means no limit."""

    latency_seconds: float = 0.0
    bytes_per_second: float = 0.0

    def tightened(self, other: Limits) -> Limits:
        """The slower of both in each respect: both ends of a link may limit it."""
        speeds = [speed for speed in (self.bytes_per_second, other.bytes_per_second) if speed > 0]
        return Limits(max(self.latency_seconds, other.latency_seconds), min(speeds, default=0.0))


class Pipe:
    """The shared capacity towards one peer: all connections to it take turns."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free_at = 0.0

    def occupy(self, size: int, bytes_per_second: float, now: float) -> float:
        """Reserve the time that `size` bytes need; returns when the last of them has left."""
        with self._lock:
            start = max(now, self._free_at)
            self._free_at = start + (size / bytes_per_second if bytes_per_second > 0 else 0.0)
            return self._free_at


class PacedSender:
    """Sends over a socket as a link with limits would: later and slower, in order.

    `limits` is asked before every piece, so that a change shows in mid-transfer. A thread does the waiting only
    where there is something to wait for.
    """

    def __init__(self, connection: socket.socket, pipe: Pipe, limits: Callable[[], Limits]) -> None:
        self._connection = connection
        self._pipe = pipe
        self._limits = limits
        self._queue: collections.deque[tuple[float, bytes | memoryview]] = collections.deque()
        self._queued = 0
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None
        self._closed = False
        self.bytes_sent = 0

    def send(self, data: bytes) -> None:
        """Queue or send; blocks while too much is under way. Raises OSError once the connection is broken."""
        limits = self._limits()
        unlimited = not limits.latency_seconds and limits.bytes_per_second <= 0
        if self._thread is None and unlimited:
            self._connection.sendall(data)
            self.bytes_sent += len(data)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="link", daemon=True)
            self._thread.start()
        view = memoryview(data)
        for at in range(0, len(view), _PIECE):
            piece = view[at : at + _PIECE]
            limits = self._limits()
            left = self._pipe.occupy(len(piece), limits.bytes_per_second, time.monotonic())
            with self._condition:
                while self._queued > _QUEUED_BYTES and self._error is None and not self._closed:
                    self._condition.wait()
                if self._error is not None:
                    raise self._error
                if self._closed:
                    raise ConnectionError("closed")
                self._queue.append((left + limits.latency_seconds, piece))
                self._queued += len(piece)
                self._condition.notify_all()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._queue and not self._closed:
                    self._condition.wait()
                if self._closed:
                    return
                due, piece = self._queue[0]
                wait = due - time.monotonic()
                if wait > 0:
                    self._condition.wait(wait)
                    continue
                self._queue.popleft()
            try:
                self._connection.sendall(piece)
            except OSError as error:
                with self._condition:
                    self._error = error
                    self._condition.notify_all()
                return
            with self._condition:
                self._queued -= len(piece)
                self.bytes_sent += len(piece)
                self._condition.notify_all()

    def drain(self) -> None:
        """Wait until everything has left. Raises OSError."""
        with self._condition:
            while self._queued and self._error is None and not self._closed and self._thread is not None:
                self._condition.wait()
            if self._error is not None:
                raise self._error

    def close(self) -> None:
        """Stop sending; what is queued is lost."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
