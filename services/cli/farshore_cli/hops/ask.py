"""Asks coalescers what their relationships are doing."""

import asyncio
import json
from collections.abc import Iterable

import aiohttp

from farshore_cli.hops.hop import Said, said_of

_TIMEOUT_SECONDS = 5.0
_MOST_BYTES = 16 * 1024 * 1024


async def ask_coalescers(urls: Iterable[str]) -> tuple[dict[str, Said], list[str]]:
    """What they say, by relationship, and a line for each one that gave no answer."""
    said: dict[str, Said] = {}
    problems = []
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for answer in await asyncio.gather(*(_ask(session, url) for url in urls)):
            if isinstance(answer, str):
                problems.append(answer)
            else:
                said |= answer
    return said, problems


async def _ask(session: aiohttp.ClientSession, url: str) -> dict[str, Said] | str:
    try:
        async with session.get(f"{url.rstrip('/')}/v1/relationships", allow_redirects=False) as answer:
            if answer.status != 200:
                return f"coalescer {url}: it answered {answer.status}"
            body = bytearray()
            async for piece in answer.content.iter_any():
                body += piece
                if len(body) > _MOST_BYTES:
                    return f"coalescer {url}: its answer is too long"
        return said_of(json.loads(bytes(body)))
    except (aiohttp.ClientError, TimeoutError) as error:
        return f"coalescer {url}: {str(error) or type(error).__name__}"
    except ValueError:
        return f"coalescer {url}: what it answered isn't a coalescer's"
