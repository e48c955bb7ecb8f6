"""Runs one lane for each partition that a consumer group gives this process.

The consumer group only shares out the work. What keeps a former owner from writing is the lane's transactional
producer: it is started, which fences the former one, before the committed offset is read.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition

from farshore.bus.clients import Bus
from farshore.bus.closing import stop_consumer
from farshore.bus.exactly_once import FencedError
from farshore.bus.failures import KAFKA_FAILURES
from farshore.bus.reading import ReadingEndedError, check_reading
from farshore.errors import FarshoreError
from farshore.telemetry import event
from farshore.together import result_of
from farshore_verifier import metrics

log = logging.getLogger(__name__)

MAX_BATCH = 500
POLL_SECONDS = 0.2
REOPEN_SECONDS = 1.0
WORK_SECONDS = 0.5


class Lane(Protocol):
    """The work on one partition; failures come out of its methods as FarshoreError or one of KAFKA_FAILURES."""

    async def open(self) -> int:
        """Fence former owners and return the offset to read from."""
        ...

    async def take(self, records: "list[ConsumerRecord[bytes, bytes]]", reached: int) -> None:
        """Take the next records; everything before the offset `reached` has been read. Also called without records."""
        ...

    def room(self) -> int:
        """How many records may be handed over now; 0 while the lane is full."""
        ...

    async def close(self) -> None:
        """Write what is finished, abandon what isn't, within a few seconds."""
        ...


class LaneHost(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka's classes have no types
    """One member of `group` on `topic` and its lanes."""

    def __init__(self, bus: Bus, topic: str, group: str, make_lane: Callable[[TopicPartition], Lane]) -> None:
        self._bus = bus
        self._topic = topic
        self._group = group
        self._make_lane = make_lane
        self._lanes: dict[TopicPartition, Lane] = {}
        self._full: set[TopicPartition] = set()
        self._not_before: dict[TopicPartition, float] = {}
        self._assignments = 0
        self._consumer: AIOKafkaConsumer | None = None
        self.started = asyncio.Event()
        """Set once the group has been joined."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping` is set."""
        while not stopping.is_set():
            try:
                await self._be_a_member(stopping)
            except ReadingEndedError as error:
                event(log, logging.WARNING, "joins the group anew", group=self._group, reason=str(error))
                await asyncio.sleep(REOPEN_SECONDS)

    async def _be_a_member(self, stopping: asyncio.Event) -> None:
        """Raises ReadingEndedError when aiokafka reads no more."""
        consumer = self._bus.group_consumer(self._group)
        consumer.subscribe([self._topic], listener=self)
        self._consumer = consumer
        work = asyncio.create_task(self._work(consumer, stopping))
        stopped = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.is_set():  # while Kafka is away, opening a lane may wait for longer than a stop may take
                await asyncio.wait({work}, timeout=WORK_SECONDS)
        finally:
            work.cancel()
            stopped.cancel()
            await asyncio.wait({work}, timeout=WORK_SECONDS)
            await self._close(list(self._lanes))
            await stop_consumer(consumer)
        if work.done() and not (stopping.is_set() and work.cancelled()):
            result_of(work)

    async def _work(self, consumer: AIOKafkaConsumer, stopping: asyncio.Event) -> None:
        await consumer.start()
        self.started.set()
        while not stopping.is_set():
            try:
                await self._open_missing(consumer)
                await self._hand_over(consumer)
            except KAFKA_FAILURES as error:
                event(log, logging.WARNING, "reading failed", group=self._group, reason=type(error).__name__)
                await asyncio.sleep(REOPEN_SECONDS)
            check_reading(consumer)

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Nothing is read from a partition before its lane says from where."""
        self._assignments += 1
        if self._consumer is not None:
            self._consumer.pause(*assigned)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Close the lanes before another process may open theirs."""
        self._assignments += 1
        await self._close(list(revoked))

    async def _close(self, partitions: list[TopicPartition]) -> None:
        lanes = [lane for partition in partitions if (lane := self._lanes.pop(partition, None)) is not None]
        for partition in partitions:
            self._note_full(partition, False)
        await asyncio.gather(*(lane.close() for lane in lanes))

    async def _open_missing(self, consumer: AIOKafkaConsumer) -> None:
        clock = asyncio.get_running_loop().time
        for partition in sorted(consumer.assignment() - set(self._lanes)):
            if self._not_before.get(partition, 0.0) > clock():
                continue
            assignments = self._assignments
            lane = self._make_lane(partition)
            try:
                start = await lane.open()
            except (FarshoreError, *KAFKA_FAILURES) as error:
                await lane.close()
                self._put_off(partition, error)
                continue
            except asyncio.CancelledError:
                await lane.close()
                raise
            if self._assignments != assignments:  # the partition may be somebody else's by now
                await lane.close()
                return
            consumer.seek(partition, start)
            self._lanes[partition] = lane

    async def _hand_over(self, consumer: AIOKafkaConsumer) -> None:
        room = {partition: lane.room() for partition, lane in self._lanes.items()}
        paused = consumer.paused()
        for partition, free in room.items():
            if not free and partition not in paused:
                consumer.pause(partition)
            elif free and partition in paused:
                consumer.resume(partition)
            self._note_full(partition, not free)
        most = min([MAX_BATCH, *filter(None, room.values())])
        batches = await consumer.getmany(timeout_ms=int(POLL_SECONDS * 1000), max_records=most)
        for partition, lane in list(self._lanes.items()):
            if self._lanes.get(partition) is not lane or partition not in consumer.assignment():
                continue
            try:
                await lane.take(batches.get(partition, []), await consumer.position(partition))
            except (FarshoreError, *KAFKA_FAILURES) as error:
                consumer.pause(partition)
                await self._close([partition])
                self._put_off(partition, error)

    def _note_full(self, partition: TopicPartition, full: bool) -> None:
        """Say when a lane begins to leave arrivals in Kafka because too many are undecided, and when it reads again."""
        if full == (partition in self._full):
            return
        if full:
            self._full.add(partition)
            level, message = logging.WARNING, "lane is full: the rest waits in Kafka until some of it is decided"
        else:
            self._full.discard(partition)
            level, message = logging.INFO, "lane has room again"
        metrics.full_lanes.add(1 if full else -1, {"group": self._group})
        event(log, level, message, group=self._group, partition=partition.partition)

    def _put_off(self, partition: TopicPartition, error: Exception) -> None:
        """Open the lane again later; one that was fenced waits until the group has told it whether it still owns it."""
        pause = self._bus.session_timeout if isinstance(error, FencedError) else REOPEN_SECONDS
        self._not_before[partition] = asyncio.get_running_loop().time() + pause
        metrics.lane_restarts.add(1, {"group": self._group})
        event(
            log,
            logging.WARNING,
            "lane stopped, will be opened again",
            group=self._group,
            partition=partition.partition,
            reason=str(error) or type(error).__name__,
            again_in_seconds=pause,
        )
