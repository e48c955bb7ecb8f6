"""Kafka clients with the settings that farshore's promises rest on."""

import random
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient

from farshore.bus.way_back import with_way_back

SILENCE_MS = 10_000
"""After so long without an answer a broker is given up and another asked: one that hangs keeps its connections open,
and what leads in its place is found out only then. A produce that takes longer is repeated, and written once.
"""
QUESTION_MS = 5_000
"""The same for questions that a broker answers at once."""


@dataclass(frozen=True, slots=True)
class Bus:
    """How to reach Kafka. `session_timeout` in seconds: after it a dead group member's partitions go to another.

    `replication`: how many brokers keep each of the topics that farshore creates; -1 leaves it to the broker.
    """

    bootstrap_servers: str
    client_id: str = "farshore"
    session_timeout: float = 10.0
    replication: int = -1

    def addresses(self) -> list[str]:
        """The bootstrap servers, in another order each time.

        aiokafka tries them one after the other and waits long for one that hangs: always the same first, and whoever
        begins anew after a shorter time would never come to the second.
        """
        servers = self.bootstrap_servers.split(",")
        return random.sample(servers, k=len(servers))

    def client(self) -> AIOKafkaClient:
        """A bare client for questions, not bootstrapped."""
        client = AIOKafkaClient(
            bootstrap_servers=self.addresses(), client_id=self.client_id, request_timeout_ms=QUESTION_MS
        )
        with_way_back(client, self.addresses())
        return client

    def producer(self) -> AIOKafkaProducer:
        """An idempotent producer, not started: acks=all, a small linger so that concurrent sends share a request."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.addresses(),
            client_id=self.client_id,
            enable_idempotence=True,
            acks="all",
            linger_ms=2,
            max_batch_size=256 * 1024,
            request_timeout_ms=SILENCE_MS,
        )
        with_way_back(producer.client, self.addresses())
        return producer

    def transactional_producer(self, transactional_id: str, *, timeout_seconds: float = 60.0) -> AIOKafkaProducer:
        """A transactional producer, not started; starting it fences any other with the same id."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.addresses(),
            client_id=self.client_id,
            transactional_id=transactional_id,
            transaction_timeout_ms=int(timeout_seconds * 1000),
            retry_backoff_ms=10,  # a transaction right behind another is told to come again: default 100 ms each
            acks="all",
            linger_ms=0,
            max_batch_size=512 * 1024,
            request_timeout_ms=SILENCE_MS,
        )
        with_way_back(producer.client, self.addresses())
        return producer

    def group_consumer(self, group: str) -> AIOKafkaConsumer:
        """A read-committed member of `group`, not started, not subscribed; offsets are committed by hand only."""
        heartbeat = max(0.3, self.session_timeout / 10)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.addresses(),
            client_id=self.client_id,
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
        with_way_back(consumer._client, self.addresses())
        return consumer

    def reader(self, *, longest_poll_seconds: float = 0.2, committed: bool = True) -> AIOKafkaConsumer:
        """A consumer without group for assigned partitions, not started; read-committed unless told otherwise.

        An offset that Kafka no longer has raises OffsetOutOfRangeError instead of moving on silently.
        """
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.addresses(),
            client_id=self.client_id,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            request_timeout_ms=SILENCE_MS,
            isolation_level="read_committed" if committed else "read_uncommitted",
            fetch_max_wait_ms=int(longest_poll_seconds * 1000),
            max_partition_fetch_bytes=2 * 1024 * 1024,
        )
        with_way_back(consumer._client, self.addresses())
        return consumer
