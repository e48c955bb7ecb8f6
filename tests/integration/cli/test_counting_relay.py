"""The relay that measures what a copy moves."""

import asyncio
from urllib.parse import urlsplit

import pytest

from farshore_cli.demo.relay import CountingRelay

pytestmark = pytest.mark.integration


async def test_it_passes_everything_on_and_counts_both_directions() -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper() * 3)
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    async with server, CountingRelay(server.sockets[0].getsockname()[1]) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(relay.url).port)
        writer.write(b"hello" * 100_000)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
    assert answer == b"HELLO" * 300_000
    assert relay.bytes_passed == 500_000 + 1_500_000
