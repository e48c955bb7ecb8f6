"""The service: shares out the partitions of `farshore.events` and runs a lane for each of its own."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from farshore.bus.closing import close_within, stop_consumer
from farshore.bus.failures import KAFKA_FAILURES
from farshore.bus.incarnation import topic_incarnation
from farshore.bus.lasting_producer import LastingProducer
from farshore.bus.partition_of import partition_of
from farshore.bus.reading import check_reading
from farshore.bus.startup import wait_for_topics
from farshore.bus.topics import EVENTS
from farshore.errors import ConfigurationError, FarshoreError
from farshore.follow_topology import follow_topology
from farshore.ontap.access import check_access
from farshore.ontap.cluster import OntapCluster
from farshore.service import Service, serve_http
from farshore.telemetry import event
from farshore.together import result_of, together
from farshore_coalescer import instruments
from farshore_coalescer.gauges import show_gauges
from farshore_coalescer.lane import Lane
from farshore_coalescer.report import TransferReporter
from farshore_coalescer.slots import Slots
from farshore_coalescer.status import Running, status_app

log = logging.getLogger(__name__)

GROUP = "farshore.coalescer"
"""Only shares out partitions; positions are committed by a group for each relationship."""
AGAIN_SECONDS = 1.0
CLOSE_SECONDS = 1.5
"""How long each Kafka client may take to close."""
WATCH_SECONDS = 5.0
"""How often it is asked whether the topic is still the same."""


def registries_of(partition: int, partitions: list[int], names: list[str]) -> list[str]:
    """The registries whose events are on `partition`: the receiver's key is the registry's name."""
    return [name for name in names if partition_of(name.encode(), partitions) == partition]


class Lanes(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """The lanes of this process, one for each partition that the group gives it."""

    def __init__(
        self,
        service: Service,
        clusters: Mapping[str, OntapCluster],
        reporter: TransferReporter,
        incarnation: str,
        running: Running,
    ) -> None:
        self._service = service
        self._clusters = clusters
        self._reporter = reporter
        self._incarnation = incarnation
        self._slots = Slots({name: site.ontap.max_transfers for name, site in service.topology.sites.items()})
        self._consumer: AIOKafkaConsumer | None = None
        self.running = running
        self.joined = False
        """Whether the group has said which partitions are ours; they may be none."""

    def attach(self, consumer: AIOKafkaConsumer) -> None:
        """The consumer whose assignment this follows."""
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Lanes go on until it is known who owns what: another owner's first act fences ours."""

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """End the lanes that went elsewhere. New ones are started by `start_missing`: aiokafka would pass over what
        fails here."""
        consumer = self._consumer
        if consumer is None:
            return
        await self._end(set(self.running) - assigned)
        self.joined = True
        for partition in assigned:
            if partition in self.running:
                consumer.seek(partition, self.running[partition][0].head)
            else:
                consumer.pause(partition)

    async def start_missing(self) -> None:
        """Start a lane for each partition of ours that has none. Raises one of KAFKA_FAILURES while Kafka is away."""
        consumer = self._consumer
        if consumer is None:
            return
        for partition in sorted(consumer.assignment() - set(self.running)):
            numbers = sorted(consumer.partitions_for_topic(EVENTS.name) or ())
            head = int((await consumer.end_offsets([partition]))[partition])
            if not numbers or partition not in consumer.assignment():
                return
            consumer.seek(partition, head)
            consumer.resume(partition)
            names = registries_of(partition.partition, numbers, list(self._service.topology.registries))
            lane = Lane(
                self._service.bus,
                self._service.topology,
                names,
                partition,
                self._incarnation,
                head,
                self._clusters,
                self._slots,
                self._reporter,
            )
            self.running[partition] = (lane, asyncio.create_task(lane.run()))
            event(log, logging.INFO, "lane started", partition=partition.partition, registries=names, head=head)

    async def close(self) -> None:
        """End all lanes."""
        await self._end(set(self.running))

    async def _end(self, partitions: set[TopicPartition]) -> None:
        ending = [self.running.pop(partition)[1] for partition in partitions]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)
        for partition in sorted(partitions):
            event(log, logging.INFO, "lane ended", partition=partition.partition)

    def check(self) -> None:
        """Raise what ended a lane against all expectation."""
        for _, task in self.running.values():
            if task.done():
                result_of(task)


async def run(service: Service) -> None:
    """Run the coalescer until the service stops; anew whenever the topology changed or the topic was made again."""
    running: Running = {}
    show_gauges(running, instruments.METER)

    async def work(ending: asyncio.Event) -> None:
        while await wait_for_topics(service.bus, ending):
            await _until_ending(service, running, ending)

    await together(serve_http(service, status_app(running)), follow_topology(service, work, needs=check_access))


async def _until_ending(service: Service, running: Running, ending: asyncio.Event) -> None:
    """Coalesce until `ending` is set, the topic is another, or Kafka fails beyond what the clients bear.

    A secret that can't be read is no reason to end either: it could at the start, and may be about to be replaced.
    """
    work = asyncio.create_task(_coalesce(service, running))
    stopped = asyncio.create_task(ending.wait())
    try:
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        service.ready = False
        for task in (work, stopped):
            task.cancel()
        await asyncio.wait({work, stopped})
    if work.cancelled() and ending.is_set():
        return
    try:
        result_of(work)
    except (KafkaError, OSError, ConfigurationError) as error:
        event(log, logging.WARNING, "begins again", reason=str(error) or type(error).__name__)
        await asyncio.sleep(AGAIN_SECONDS)


async def _coalesce(service: Service, running: Running) -> None:
    async with AsyncExitStack() as stack:
        clusters = {
            name: await stack.enter_async_context(OntapCluster(name, site.ontap))
            for name, site in service.topology.sites.items()
        }
        client = service.bus.client()
        stack.push_async_callback(lambda: close_within(CLOSE_SECONDS, client.close()))
        await client.bootstrap()
        incarnation = await _incarnation(client)
        producer = await stack.enter_async_context(LastingProducer(service.bus))
        lanes = Lanes(service, clusters, TransferReporter(producer), incarnation, running)
        stack.push_async_callback(lanes.close)
        consumer = service.bus.group_consumer(GROUP)
        lanes.attach(consumer)
        consumer.subscribe([EVENTS.name], listener=lanes)
        stack.push_async_callback(lambda: stop_consumer(consumer, CLOSE_SECONDS))
        await consumer.start()
        await together(_until_made_again(client, incarnation), beside=[_follow(service, consumer, lanes)])


async def _incarnation(client: AIOKafkaClient) -> str:
    """The incarnation of the topic of events, once Kafka knows it."""
    while True:
        try:
            return await topic_incarnation(client, EVENTS.name)
        except (FarshoreError, *KAFKA_FAILURES):
            await asyncio.sleep(AGAIN_SECONDS)


async def _until_made_again(client: AIOKafkaClient, incarnation: str) -> None:
    """Return when the topic was deleted and made again: no offset that is known here means anything then."""
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        now = await _incarnation(client)
        if now != incarnation:
            event(log, logging.WARNING, "the topic of events was made again", was=incarnation, now=now)
            return


async def _follow(service: Service, consumer: AIOKafkaConsumer, lanes: Lanes) -> None:
    """Feed the log's new records to the lanes until cancelled. Raises ReadingEndedError when there will be none."""
    while True:
        batches: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]] = {}
        try:
            await lanes.start_missing()
            batches = await consumer.getmany(timeout_ms=200)
        except KAFKA_FAILURES as error:
            event(log, logging.WARNING, "reading failed", reason=str(error) or type(error).__name__)
            await asyncio.sleep(AGAIN_SECONDS)
        for partition, records in batches.items():
            if partition in lanes.running:
                lanes.running[partition][0].tail(records)
        lanes.check()
        check_reading(consumer)
        service.ready = lanes.joined
