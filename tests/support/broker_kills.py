"""kill -9 of a Kafka cluster's brokers, chosen by what they are for farshore just then."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import KafkaError
from kafka_log import admin_of
from waiting import wait_until

from farshore_cli.tools.kafka import Cluster, ask_cluster


@dataclass
class BrokerKills:
    """Kills and brings back brokers of `cluster`; `killed` counts them by what they were."""

    cluster: Cluster
    killed: Counter[str] = field(default_factory=Counter)

    async def leader(self, partition: TopicPartition) -> int:
        """The node that leads `partition`."""
        client = await self._client()
        try:
            await client.add_topic(partition.topic)
            return int(await wait_until(lambda: client.cluster.leader_for_partition(partition), 60, "a leader"))
        finally:
            await client.close()

    async def transaction_coordinator(self, transactional_id: str) -> int:
        """The node that coordinates the transactions of a lane."""
        return await self._coordinator(CoordinationType.TRANSACTION, transactional_id)

    async def group_coordinator(self, group: str) -> int:
        """The node that keeps the positions of `group`."""
        return await self._coordinator(CoordinationType.GROUP, group)

    def kill(self, node: int, role: str) -> None:
        """kill -9."""
        self.cluster.brokers[node - 1].kill()
        self.killed[role] += 1

    def stop(self, node: int) -> None:
        """SIGSTOP: it stands still."""
        self._signal(node, signal.SIGSTOP)

    def go_on(self, node: int) -> None:
        """SIGCONT."""
        self._signal(node, signal.SIGCONT)

    def _signal(self, node: int, number: signal.Signals) -> None:
        pid = self.cluster.brokers[node - 1].pid
        assert pid is not None
        os.kill(pid, number)

    async def bring_back(self, nodes: Collection[int]) -> None:
        """Start killed nodes; returns when all brokers are in service for all of them, and keep all partitions again.

        Before that the next kill may take the only one that has all of a partition, which then has no leader until that
        one is back.
        """
        for node in nodes:
            self.cluster.brokers[node - 1].launch()
        await wait_until(self._all_in_service, 60, "all brokers to be in service")
        await wait_until(self._all_in_sync, 60, "all brokers to have all of every partition")

    def _all_in_service(self) -> bool:
        wanted = frozenset(range(1, len(self.cluster.brokers) + 1))
        for broker in self.cluster.brokers:
            host, _, port = broker.bootstrap.partition(":")
            view = ask_cluster(host, int(port))
            if view is None or view.brokers != wanted:
                return False
        return True

    async def _all_in_sync(self) -> bool:
        async with admin_of(self.cluster.bootstrap) as admin:
            topics = await admin.describe_topics()
        partitions = [partition for topic in topics for partition in topic["partitions"]]
        return all(set(partition["isr"]) == set(partition["replicas"]) for partition in partitions)

    async def _coordinator(self, kind: CoordinationType, name: str) -> int:
        client = await self._client()
        try:
            while True:
                try:
                    return int(await client.coordinator_lookup(kind, name))
                except KafkaError:
                    await asyncio.sleep(0.2)
        finally:
            await client.close()

    async def _client(self) -> AIOKafkaClient:
        client = AIOKafkaClient(bootstrap_servers=self.cluster.bootstrap)
        await client.bootstrap()
        return client
