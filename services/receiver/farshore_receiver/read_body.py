"""Step 2: read the request's body, with a limit on its size and on the time that it takes."""

import asyncio
from typing import NamedTuple

from starlette.types import Receive

BODY_IS_HERE = "farshore.body-is-here"
"""Key of an ASGI scope that the server sets once it has the whole body: nothing has to be waited for, then."""


class SlowBodyError(Exception):
    """The body wasn't complete in time."""


class SenderGoneError(Exception):
    """The sender closed the connection before its body was complete."""


class Body(NamedTuple):
    """What was read; `cut` says that the body goes on beyond the limit."""

    content: bytes
    cut: bool = False


async def read_body(receive: Receive, *, limit_bytes: int, timeout_seconds: float | None) -> Body:
    """Read at most `limit_bytes`, whatever Content-Length says: chunked bodies have none, and it may lie.

    Reading stops at the limit; the server throws away what the sender still sends. `timeout_seconds` is None where the
    body is known to be here: a clock for each request costs more than reading it. Raises SlowBodyError and
    SenderGoneError.
    """
    if timeout_seconds is None:
        return await _read(receive, limit_bytes)
    try:
        async with asyncio.timeout(timeout_seconds):
            return await _read(receive, limit_bytes)
    except TimeoutError as error:
        raise SlowBodyError from error


async def _read(receive: Receive, limit_bytes: int) -> Body:
    content = bytearray()
    more = True
    while more and len(content) <= limit_bytes:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise SenderGoneError
        content += message.get("body", b"")
        more = message.get("more_body", False)
    return Body(bytes(content[:limit_bytes]), cut=len(content) > limit_bytes)
