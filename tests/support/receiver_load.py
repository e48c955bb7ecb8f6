"""Load for a receiver over plain sockets, and what a server used meanwhile."""

import asyncio
import time
from collections.abc import Iterator

from notifications import CONTENT_TYPE, envelope, push
from receiver_process import TOKEN


def requests(count: int) -> Iterator[bytes]:
    """Different notifications: pushes as distribution 3.x sends them, with the fields that the receiver passes over."""
    for number in range(count):
        event = push(tag=f"v{number}")
        event["target"]["references"] = [push()["target"] for _ in range(3)]
        event["request"] = {"id": event["id"], "addr": "10.0.0.1:1", "method": "PUT", "useragent": "skopeo/1.9.3"}
        body = envelope(event)
        head = (
            f"POST /v1/notifications/main HTTP/1.1\r\nHost: receiver\r\nAuthorization: Bearer {TOKEN}-main\r\n"
            f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        yield head.encode() + body


async def rate(port: int, prepared: list[bytes], connections: int) -> tuple[float, list[float]]:
    """Requests a second, and each one's seconds. Fails unless every answer is 202."""
    waiting = iter(prepared)
    seconds: list[float] = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in waiting:
            started = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 202"):
                raise SystemExit(f"unexpected answer: {head!r}")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            if length:
                await reader.readexactly(int(length))
            seconds.append(time.perf_counter() - started)
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(connections)))
    return len(prepared) / (time.perf_counter() - started), seconds


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
