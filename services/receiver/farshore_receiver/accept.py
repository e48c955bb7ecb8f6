"""Step 5: into Kafka. Accepted is what Kafka has acknowledged; nothing else may be answered 2xx."""

import asyncio
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerClosed

from farshore.bus.clients import Bus
from farshore.bus.failures import KAFKA_FAILURES
from farshore.bus.refusals import KafkaRefusedError
from farshore.bus.topics import DEADLETTER, EVENTS
from farshore.errors import FarshoreError, RetryClass
from farshore.records.cloudevent import Headers
from farshore.records.deadletters import DeadLetter
from farshore.records.events import Event
from farshore.records.reconciles import ReconcileRequested
from farshore.telemetry import event
from farshore_receiver import metrics
from farshore_receiver.event_log import Batch, EventLog
from farshore_receiver.waits import Outcome, Waits

log = logging.getLogger(__name__)

WRITTEN = (EVENTS, DEADLETTER)
"""The topics that a receiver writes to: it needs no rights to others."""

_LOOK_SECONDS = 2.0
_RECONNECT_SECONDS = 0.5
_CLOSE_SECONDS = 3.0
_REMEMBERED_EVENTS = 16_384

EventKey = tuple[str, str, str, str | None, str | None]


class NotAcceptedError(FarshoreError):
    """Kafka didn't acknowledge everything in time; the sender has to send it again."""

    def __init__(self, registry: str, reason: str) -> None:
        super().__init__("write to Kafka", registry, reason, retry=RetryClass.RETRY_SOON, hint="send it again")


class Acceptor:
    """Writes events and dead letters through one idempotent producer.

    A registry that got no answer in time sends the same notification again, perhaps while the first is still waiting
    for Kafka. The producer never gives up a record that it has taken, so the second one waits for the first's
    acknowledgement and is not written twice; and one that was acknowledged a while ago is not written again *behind*
    later events, where an old push would look like the newest. That memory is this process's own and bounded: consumers
    still meet duplicates, with equal ids.
    """

    def __init__(self, bus: Bus, *, acknowledge_timeout: float) -> None:
        self._bus = bus
        self._acknowledge_timeout = acknowledge_timeout
        self._waits = Waits(acknowledge_timeout)
        self._producer: AIOKafkaProducer | None = None
        self._event_log: EventLog | None = None
        self._broken = asyncio.Event()
        self._underway: dict[EventKey, Batch] = {}
        self._accepted: OrderedDict[EventKey, None] = OrderedDict()

    async def accept(
        self,
        registry: str,
        events: Sequence[Event],
        dead_letters: Sequence[DeadLetter],
        traceparent: str | None,
        requests: Sequence[ReconcileRequested] = (),
    ) -> None:
        """Return once Kafka has acknowledged all of them, in the order given. Raises NotAcceptedError, never hangs."""
        started = time.perf_counter()
        key = registry.encode()
        try:
            batches = await self._append(registry, key, events, traceparent)
            ends = [batch.ended(self._waits) for batch in batches]
            if dead_letters or requests:
                rare = [(DEADLETTER.name, letter.value, letter.headers()) for letter in dead_letters]
                asked = [request.to_cloudevent(traceparent=traceparent) for request in requests]
                rare += [(EVENTS.name, cloudevent.data, cloudevent.headers()) for cloudevent in asked]
                await self._write(key, rare)
            for end in ends:
                outcome = await end
                if outcome is not None:
                    raise outcome
        except TimeoutError as error:
            reason = f"no acknowledgement within {self._acknowledge_timeout:g} s"
            raise NotAcceptedError(registry, reason) from error
        except KAFKA_FAILURES as error:
            # An idempotent producer repeats by itself whatever can be repeated. After any other failure its sequence
            # numbers no longer fit what the broker has, and everything later would fail too: it has to be replaced.
            self._broken.set()
            raise NotAcceptedError(registry, f"Kafka refused: {type(error).__name__}") from error
        metrics.acknowledge_seconds.observe(time.perf_counter() - started)

    async def _append(
        self, registry: str, key: bytes, events: Sequence[Event], traceparent: str | None
    ) -> Sequence[Batch]:
        """The batches that hold these events; usually one."""
        if self._event_log is None:
            raise NotAcceptedError(registry, "there is no connection to Kafka")
        lane = self._event_log.lane(key)
        if lane is None:
            raise NotAcceptedError(registry, f"{EVENTS.name} is not known yet")
        batches: dict[Batch, None] = {}
        for record in events:
            identity = _identity(record)
            if identity in self._accepted:
                metrics.duplicates.labels(registry).inc()
                continue
            batch = self._underway.get(identity)
            if batch is None:
                batch = lane.append(record, key, traceparent)
                while batch is None:
                    async with asyncio.timeout(self._acknowledge_timeout):
                        await lane.room()
                    batch = lane.append(record, key, traceparent)
                self._underway[identity] = batch
            batches[batch] = None
        return list(batches)

    async def _write(self, key: bytes, records: Sequence[tuple[str, bytes, Headers]]) -> None:
        """Write what is rare, topic, value and headers, and wait for it: each record may cost what it costs."""
        producer = self._producer
        if producer is None:
            raise ProducerClosed
        async with asyncio.timeout(self._acknowledge_timeout):
            written = [await producer.send(topic, value, key, headers=headers) for topic, value, headers in records]
            for acknowledgement in written:
                await asyncio.shield(acknowledgement)

    def _settle(self, batch: Batch, outcome: Outcome) -> None:
        """A batch ended: its events are no longer under way, and if all is well they are remembered."""
        for record in batch.events:
            self._underway.pop(_identity(record), None)
        if outcome is not None:
            return
        for record in batch.events:
            self._accepted[_identity(record)] = None
        while len(self._accepted) > _REMEMBERED_EVENTS:
            self._accepted.popitem(last=False)
        counts = Counter((record.registry, record.kind.value) for record in batch.events)
        for (registry, kind), count in counts.items():
            metrics.events.labels(registry, kind).inc(count)

    async def keep_connected(self, report: Callable[[bool], None]) -> None:
        """Have a working producer for as long as this runs; `report` hears whether Kafka's metadata is known.

        A broken producer is closed before the next one is opened: what it still holds must not arrive behind what the
        next one writes.

        Raises KafkaRefusedError where Kafka refuses the first one: a setting is wrong.
        """
        while True:
            producer = self._bus.producer()
            event_log = EventLog(producer, self._settle)
            try:
                await producer.start()
                self._broken.clear()
                self._producer, self._event_log = producer, event_log
                self._bus.access.let_in = True
                event(log, logging.INFO, "connected to Kafka")
                while not self._broken.is_set():
                    partitions = await _known_partitions(producer)
                    event_log.refresh(partitions)
                    report(bool(partitions))
                    await _wait(self._broken, _LOOK_SECONDS)
                self._producer = self._event_log = None
                event(log, logging.ERROR, "the Kafka producer failed for good, opening another")
                await producer.stop()
            except KAFKA_FAILURES as error:
                if isinstance(error, KafkaRefusedError):
                    if not self._bus.access.let_in:
                        raise
                    event(log, logging.ERROR, "Kafka refuses", reason=str(error))
                else:
                    event(log, logging.WARNING, "can't reach Kafka", error=type(error).__name__)
            finally:
                self._producer = self._event_log = None
                report(False)
                await _close(producer)
                event_log.close()
            await asyncio.sleep(_RECONNECT_SECONDS)


def _identity(record: Event) -> EventKey:
    """What makes two events the same: the id, and also what they say, in case a registry's ids aren't unique."""
    return record.id, record.kind, record.repository, record.digest, record.tag


async def _known_partitions(producer: AIOKafkaProducer) -> Collection[int]:
    """The partitions of the events' topic; none when no broker answers just now or a topic isn't there."""
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            await producer.partitions_for(DEADLETTER.name)
            partitions: Collection[int] = await producer.partitions_for(EVENTS.name)
            return partitions if await producer.client.force_metadata_update() else ()
    except KAFKA_FAILURES:
        return ()


async def _wait(happened: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await happened.wait()
    except TimeoutError:
        pass


async def _close(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await producer.stop()
    except TimeoutError:
        event(log, logging.WARNING, "left records behind that Kafka never acknowledged: their senders know")
