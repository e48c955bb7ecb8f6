"""Keeps aiokafka from writing to a connection that has just broken: uvloop raises RuntimeError there.

aiokafka 0.14 takes a connection for a good one until its own reader has heard that it broke, some turns of the loop
later, and expects no RuntimeError. What fetches for a consumer ended by it, or what keeps a client's metadata up to
date: in silence, and whoever waited for either waited for ever.
"""

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection, CloseReason

_ATTEMPTS = 2


def without_broken_connections(client: AIOKafkaClient) -> None:
    """Have `client`, which must not have been started, make a new connection in place of one that broke."""
    get = client._get_conn

    async def get_unbroken(
        node_id: object, *, group: ConnectionGroup = ConnectionGroup.DEFAULT, no_hint: bool = False
    ) -> AIOKafkaConnection | None:
        for _ in range(_ATTEMPTS):
            connection = await get(node_id, group=group, no_hint=no_hint)
            if connection is None or not _is_broken(connection):
                return connection
            connection.close(reason=CloseReason.CONNECTION_BROKEN)
        return None  # as where none can be made

    client._get_conn = get_unbroken


def _is_broken(connection: AIOKafkaConnection) -> bool:
    writer = connection._writer
    return writer is None or writer.is_closing()
