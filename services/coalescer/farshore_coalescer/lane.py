"""A lane: one partition of `farshore.events`, owned by this process, with the volumes of all its registries."""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping

from aiokafka import ConsumerRecord, TopicPartition

from farshore.bus.clients import Bus
from farshore.bus.committed import offsets_in
from farshore.bus.exactly_once import ExactlyOnceStep, FencedError
from farshore.bus.failures import KAFKA_FAILURES
from farshore.bus.range_reader import RangeReader
from farshore.errors import FarshoreError
from farshore.ontap.cluster import OntapCluster
from farshore.records.cloudevent import MalformedRecordError
from farshore.records.events import Event
from farshore.records.fences import LIFTED_TYPE
from farshore.records.reconciles import RECONCILE_TYPE
from farshore.telemetry import event
from farshore.together import together
from farshore.topology import Topology
from farshore_coalescer.fences import Change
from farshore_coalescer.messages import HeadSeen, PositionRead
from farshore_coalescer.publish import Publisher
from farshore_coalescer.read_fences import FenceReader, change_of
from farshore_coalescer.report import TransferReporter
from farshore_coalescer.slots import Slots
from farshore_coalescer.snapshot_names import Log
from farshore_coalescer.state import Extent
from farshore_coalescer.storage import storages
from farshore_coalescer.volume import Registry, Tools, Volume

log = logging.getLogger(__name__)

RESTART_SECONDS = 1.0
LONGEST_RESTART_SECONDS = 15.0
CALM_SECONDS = 60.0
"""A lane that ran for so long before it failed starts again at once; each start reads all relationships anew."""


class Lane:
    """Works off one partition until it is taken away.

    `tail` is fed what the group's consumer reads; `run` does the work and starts again by itself from what Kafka and
    storage say when a commit's outcome is unknown.
    """

    def __init__(
        self,
        bus: Bus,
        topology: Topology,
        registries: Iterable[str],
        partition: TopicPartition,
        incarnation: str,
        head: int,
        clusters: Mapping[str, OntapCluster],
        slots: Slots,
        reporter: TransferReporter,
    ) -> None:
        self.partition = partition
        self.head = head
        self._bus = bus
        self._topology = topology
        self._events = Log(incarnation, partition.partition)
        self._clusters = clusters
        self._slots = slots
        self._reporter = reporter
        self._registries = {
            name: Registry(
                name,
                topology.registries[name].batching,
                {entry.site: entry for entry in topology.relationships(name)},
            )
            for name in registries
        }
        self.volumes: dict[str, Volume] = {}
        self._begin()

    def _begin(self) -> None:
        self.volumes = {
            name: Volume(registry, self._events, self.head)
            for name, registry in self._registries.items()
            if registry.relationships
        }

    def tail(self, records: list[ConsumerRecord[bytes, bytes]]) -> None:
        """Take in the log's next records, in order."""
        if not records:
            return
        self.head = max(self.head, records[-1].offset + 1)
        ends = {name.encode(): [0, 0] for name in self.volumes}
        changes: dict[bytes, list[Change]] = {}
        for record in records:
            mine = ends.get(record.key or b"")
            if mine is not None and not _leaves_volume(record):
                mine[0] = record.offset + 1
                self.volumes[(record.key or b"").decode()].traces.saw(record)
                if self._is_urgent(record):
                    mine[1] = record.offset + 1
            if mine is not None and (change := change_of(record)) is not None:
                changes.setdefault(record.key, []).append(change)
        for name, volume in self.volumes.items():
            dirty, urgent = ends[name.encode()]
            volume.observe(HeadSeen(Extent(self.head, dirty, urgent), tuple(changes.get(name.encode(), ()))))

    def _is_urgent(self, record: ConsumerRecord[bytes, bytes]) -> bool:
        batching = self._topology.registries[(record.key or b"").decode()].batching
        if not batching.urgent or record.value is None:
            return False
        try:
            return batching.is_urgent(Event.from_json(record.value, "tail").image)
        except MalformedRecordError:
            return False

    async def run(self) -> None:
        """Work until cancelled."""
        if not self.volumes:
            await asyncio.Event().wait()  # no registry's events are on this partition
        restarts = 0
        while True:
            began = time.monotonic()
            fenced = False
            try:
                await self._run_once()
            except FencedError:
                # whoever took over may be right: the group will have said so by then, and ended this lane
                fenced = True
                event(log, logging.WARNING, "lane taken over by another instance", partition=self.partition.partition)
            except (FarshoreError, *KAFKA_FAILURES) as error:
                reason = str(error) or type(error).__name__
                event(log, logging.WARNING, "lane starts again", partition=self.partition.partition, reason=reason)
            restarts = 0 if time.monotonic() - began >= CALM_SECONDS else restarts + 1
            pause = min(LONGEST_RESTART_SECONDS, RESTART_SECONDS * 2.0 ** min(restarts, 8))
            await asyncio.sleep(self._bus.session_timeout if fenced else pause)
            self._begin()

    async def _run_once(self) -> None:
        transactional_id = f"farshore.coalescer.{self.partition.topic}.{self.partition.partition}"
        async with (
            ExactlyOnceStep(self._bus, transactional_id) as step,  # first of all: it fences a former owner
            RangeReader(self._bus, self.partition) as reader,
            FenceReader(self._bus, self.partition) as fences,
        ):
            await self._read_positions(step, await reader.oldest())
            publisher = Publisher(self._events, self.partition, reader, step, self._reporter.producer)
            running = []
            for name, volume in self.volumes.items():
                entry = self._topology.registries[name]
                relationships = list(volume.registry.relationships.values())
                source, replicas = storages(self._clusters, entry.primary, relationships, self._events)
                tools = Tools(source, replicas, self._slots, publisher, self._reporter, fences)
                running.append(volume.run(tools))
            await together(*running)

    async def _read_positions(self, step: ExactlyOnceStep, oldest: int) -> None:
        """Where each relationship goes on; one that never published begins with the oldest record that Kafka has."""
        groups = {
            entry.consumer_group: (volume, entry.site)
            for volume in self.volumes.values()
            for entry in volume.registry.relationships.values()
        }
        committed = await step.positions(groups, self.partition)
        positions = offsets_in(self._events.incarnation, committed)
        for group, (volume, site) in groups.items():
            volume.observe(PositionRead(site, positions.get(group, oldest)))


def _leaves_volume(record: ConsumerRecord[bytes, bytes]) -> bool:
    """Whether the record says nothing of the volume, so that no snapshot is needed because of it."""
    return dict(record.headers).get("ce_type") in (RECONCILE_TYPE.encode(), LIFTED_TYPE.encode())
