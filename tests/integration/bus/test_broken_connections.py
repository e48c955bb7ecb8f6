"""What is sent just when a connection breaks goes over another one: under uvloop, as the services run."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

import pytest
import uvloop
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.structs import BrokerMetadata

from farshore.bus.clients import Bus

pytestmark = pytest.mark.integration

RESET = struct.pack("ii", 1, 0)


class Relay:
    """Passes on to the broker at `bootstrap`, until its connections are reset, as a load balancer does to them."""

    def __init__(self, bootstrap: str) -> None:
        host, _, port = bootstrap.rpartition(":")
        self._broker = host, int(port)
        self._open: list[asyncio.StreamWriter] = []

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()

    def reset(self) -> None:
        while self._open:
            transport = self._open.pop().transport
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.append(writer)
        far_reader, far_writer = await asyncio.open_connection(*self._broker)
        await asyncio.gather(_pass(reader, far_writer), _pass(far_reader, writer))


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, RuntimeError):  # uvloop's where the other side was reset
        while piece := await reader.read(64 * 1024):
            writer.write(piece)
    writer.close()


async def break_connection(client: AIOKafkaClient, node: int, relay: Relay) -> None:
    """Return while aiokafka still takes the broken connection for a good one."""
    connection = client._conns[node, ConnectionGroup.DEFAULT]
    broke, set_exception = asyncio.Event(), connection._reader.set_exception

    def tell(error: Exception) -> None:
        set_exception(error)
        broke.set()

    connection._reader.set_exception = tell
    relay.reset()
    await broke.wait()
    assert connection.connected()


async def ask_over_breaking_connections(bootstrap: str) -> None:
    relay = Relay(bootstrap)
    client = Bus(bootstrap).client()
    async with relay.listening() as port:
        await client.bootstrap()
        node = client.get_random_node()
        client.cluster._brokers = {node: BrokerMetadata(node, "127.0.0.1", port, None)}
        try:
            assert (await client.send(node, MetadataRequest([]))).brokers
            await break_connection(client, node, relay)
            assert (await client.send(node, MetadataRequest([]))).brokers
            await break_connection(client, node, relay)
            assert await client._metadata_update(client.cluster, [])
        finally:
            await client.close()
            relay.reset()


def test_a_request_over_a_connection_that_has_just_broken_goes_over_another(kafka_bootstrap: str) -> None:
    uvloop.run(asyncio.wait_for(ask_over_breaking_connections(kafka_bootstrap), 300))
