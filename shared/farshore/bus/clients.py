"""Kafka clients with the settings that farshore's promises rest on."""

import random
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient

from farshore.bus.access import PLAIN, Access
from farshore.bus.broken_connections import without_broken_connections
from farshore.bus.closed_clients import without_waiting_for_closed
from farshore.bus.refusals import KafkaRefusedError
from farshore.bus.way_back import with_way_back

SILENCE_MS = 10_000
"""After so long without an answer a broker is given up and another asked: one that hangs keeps its connections open,
and what leads in its place is found out only then. A produce that takes longer is repeated, and written once.
"""
QUESTION_MS = 5_000
"""The same for questions that a broker answers at once."""
_ADMIN_MS = 20_000
"""For changes of topics, which a broker answers when all of them are carried out."""


@dataclass(frozen=True, slots=True)
class Bus:
    """How to reach Kafka. `session_timeout` in seconds: after it a dead group member's partitions go to another.

    `replication`: how many brokers keep each of the topics that farshore creates; -1 leaves it to the broker.
    `access`: TLS and login. Starting a client raises KafkaRefusedError where these are wrong.
    """

    bootstrap_servers: str
    client_id: str = "farshore"
    session_timeout: float = 10.0
    replication: int = -1
    access: Access = PLAIN

    def addresses(self) -> list[str]:
        """The bootstrap servers, in another order each time.

        aiokafka tries them one after the other and waits long for one that hangs: always the same first, and whoever
        begins anew after a shorter time would never come to the second.
        """
        servers = self.bootstrap_servers.split(",")
        return random.sample(servers, k=len(servers))

    def client(self) -> AIOKafkaClient:
        """A bare client for questions, not bootstrapped."""
        client = AIOKafkaClient(**self._common(), request_timeout_ms=QUESTION_MS)
        self._prepare(client)
        return client

    def admin(self, *, timeout_ms: int = _ADMIN_MS) -> AIOKafkaAdminClient:
        """A client for questions about topics and changes of them, not started."""
        admin = AIOKafkaAdminClient(**self._common(), request_timeout_ms=timeout_ms)
        self._prepare(admin._client)
        return admin

    async def refusal(self) -> KafkaRefusedError | None:
        """Why Kafka refuses farshore, or farshore Kafka; None where neither does, or nobody answers."""
        return await self.access.refusal(self.addresses())

    def _common(self) -> dict[str, Any]:
        return {"bootstrap_servers": self.addresses(), "client_id": self.client_id, **self.access.options()}

    def _prepare(self, client: AIOKafkaClient) -> None:
        with_way_back(client, self.addresses())
        without_broken_connections(client)
        without_waiting_for_closed(client)
        self.access.attach(client, self.addresses())

    def producer(self) -> AIOKafkaProducer:
        """An idempotent producer, not started: acks=all, a small linger so that concurrent sends share a request."""
        producer = AIOKafkaProducer(
            **self._common(),
            enable_idempotence=True,
            acks="all",
            linger_ms=2,
            max_batch_size=256 * 1024,
            request_timeout_ms=SILENCE_MS,
        )
        self._prepare(producer.client)
        return producer

    def transactional_producer(self, transactional_id: str, *, timeout_seconds: float = 60.0) -> AIOKafkaProducer:
        """A transactional producer, not started; starting it fences any other with the same id."""
        producer = AIOKafkaProducer(
            **self._common(),
            transactional_id=transactional_id,
            transaction_timeout_ms=int(timeout_seconds * 1000),
            retry_backoff_ms=10,  # a transaction right behind another is told to come again: default 100 ms each
            acks="all",
            linger_ms=0,
            max_batch_size=512 * 1024,
            request_timeout_ms=SILENCE_MS,
        )
        self._prepare(producer.client)
        return producer

    def group_consumer(self, group: str) -> AIOKafkaConsumer:
        """A read-committed member of `group`, not started, not subscribed; offsets are committed by hand only."""
        heartbeat = max(0.3, self.session_timeout / 10)
        consumer = AIOKafkaConsumer(
            **self._common(),
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=int(self.session_timeout * 1000),
            heartbeat_interval_ms=int(heartbeat * 1000),
            max_poll_interval_ms=300_000,
            # joining is answered only when a dead member's session is over
            request_timeout_ms=int(self.session_timeout * 1000) + QUESTION_MS,
            fetch_max_wait_ms=200,
        )
        self._prepare(consumer._client)
        return consumer

    def reader(self, *, longest_poll_seconds: float = 0.2, committed: bool = True) -> AIOKafkaConsumer:
        """A consumer without group for assigned partitions, not started; read-committed unless told otherwise.

        An offset that Kafka no longer has raises OffsetOutOfRangeError instead of moving on silently.
        """
        consumer = AIOKafkaConsumer(
            **self._common(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            request_timeout_ms=SILENCE_MS,
            isolation_level="read_committed" if committed else "read_uncommitted",
            fetch_max_wait_ms=int(longest_poll_seconds * 1000),
            max_partition_fetch_bytes=2 * 1024 * 1024,
        )
        self._prepare(consumer._client)
        return consumer
