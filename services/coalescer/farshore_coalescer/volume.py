"""One registry's volume: asks the decisions what to do, does it, and tells them what came of it."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from farshore.bus.failures import KAFKA_FAILURES
from farshore.bus.range_reader import RangeLostError
from farshore.errors import FarshoreError, RetryClass
from farshore.ontap.model import Transfer
from farshore.records.transfers import TransferPhase
from farshore.telemetry import event
from farshore.together import Together
from farshore.topology import Batching, Relationship
from farshore_coalescer import instruments
from farshore_coalescer.apply import apply
from farshore_coalescer.decide import decide, is_held, next_wake
from farshore_coalescer.messages import (
    Action,
    Began,
    DeleteFailed,
    DeleteSnapshot,
    LogFailed,
    NoSlot,
    Observation,
    Publish,
    Published,
    PublishFailed,
    ReadLog,
    ReadReplica,
    ReadSource,
    ReplicaFailed,
    SlotFreed,
    SnapshotDeleted,
    SnapshotTaken,
    SourceFailed,
    SourceRead,
    StartTransfer,
    TakeSnapshot,
    TransferStarted,
)
from farshore_coalescer.publish import Publisher
from farshore_coalescer.read_fences import FenceReader
from farshore_coalescer.report import TransferReporter
from farshore_coalescer.slots import Slots
from farshore_coalescer.snapshot_names import Log
from farshore_coalescer.state import Activity, Replica, Rules, State
from farshore_coalescer.storage import ReplicaStorage, SourceStorage
from farshore_coalescer.traces import BatchTraces

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 1.0
"""How often a running transfer's progress is reported; a shorter one has none, and is spared the request."""


@dataclass(frozen=True, slots=True)
class Registry:
    """The registry whose volume this is."""

    name: str
    batching: Batching
    relationships: Mapping[str, Relationship]

    def rules(self) -> Rules:
        """The batching bounds for the decisions."""
        bounds = self.batching
        return Rules(bounds.settle, bounds.min_interval, bounds.max_wait, bounds.keep)


@dataclass(frozen=True, slots=True)
class Tools:
    """What actions are carried out with."""

    source: SourceStorage
    replicas: Mapping[str, ReplicaStorage]
    slots: Slots
    publisher: Publisher
    reporter: TransferReporter
    fences: FenceReader


class Volume:
    """Runs the decisions for one registry until its lane ends."""

    def __init__(self, registry: Registry, events: Log, head: int) -> None:
        self.registry = registry
        self._events = events
        self._observations: asyncio.Queue[Observation] = asyncio.Queue()
        self._progress_at: dict[str, float] = {}
        self._held: set[str] = set()
        self.traces = BatchTraces(registry.name, events)
        self.lost: dict[str, tuple[int, int]] = {}
        """By site: the offsets that Kafka had deleted before they were published, as [first, end)."""
        replicas = tuple(Replica(name, _upstream(entry, registry)) for name, entry in registry.relationships.items())
        self.state = State.begin(events, secrets.token_hex(4), registry.rules(), replicas, head, time.monotonic())

    def observe(self, observation: Observation) -> None:
        """Tell the decisions what happened; taken in by `run`."""
        self._observations.put_nowait(observation)

    async def run(self, tools: Tools) -> None:
        """Decide and act until cancelled. Raises FencedError or another FarshoreError when a publication's outcome is
        unknown: the lane then starts again from what Kafka and storage say."""
        tasks = Together()
        tasks.start(self._decide(tools, tasks))
        try:
            await tasks.wait()
        finally:
            self.traces.close()
            for relationship in self.registry.relationships.values():
                tools.slots.forget(relationship.name)

    async def _decide(self, tools: Tools, tasks: Together) -> None:
        while True:
            now = time.monotonic()
            self._tell_fences(now, tools.reporter)
            for action in decide(self.state, now):
                self.state = apply(self.state, Began(action), now)
                tasks.start(self._perform(action, tools))
                if isinstance(action, TakeSnapshot):
                    for replica in self.state.replicas:
                        if replica.activity is Activity.IDLE and replica.upstream is None:
                            tasks.start(self._prepare(action.name, tools.replicas[replica.site]))
            await self._learn(next_wake(self.state, now))

    def _tell_fences(self, now: float, reporter: TransferReporter) -> None:
        """Say of each fence once that it is held, and once that it is over."""
        holding = {fence.fence for fence in self.state.holding(now)}
        for fence in self._held - holding:
            lifted = fence in {change.fence for change in self.state.fences.lifted}
            reporter.report_fence(self.registry.name, fence, "lifted" if lifted else "expired")
        held = self._held | holding if is_held(self.state, now) else self._held
        for fence in holding & held - self._held:
            reporter.report_fence(self.registry.name, fence, "held")
        self._held = holding & held

    async def _learn(self, wake: float | None) -> None:
        """Take in what was observed; wait for something until `wake`."""
        try:
            async with asyncio.timeout_at(None if wake is None else self._loop_time(wake)):
                self._apply(await self._observations.get())
        except TimeoutError:
            return
        while not self._observations.empty():
            self._apply(self._observations.get_nowait())

    @staticmethod
    def _loop_time(wake: float) -> float:
        return asyncio.get_running_loop().time() + max(0.0, wake - time.monotonic())

    def _apply(self, observation: Observation) -> None:
        before, self.state = self.state, apply(self.state, observation, time.monotonic())
        if before.source.trouble != self.state.source.trouble:
            self._report_trouble(self.registry.name, self.state.source.trouble, loud=True)
        for old, new in zip(before.replicas, self.state.replicas, strict=True):
            if old.trouble != new.trouble:
                name = self.registry.relationships[new.site].name
                self._report_trouble(name, new.trouble, loud=new.activity is Activity.STOPPED)

    @staticmethod
    def _report_trouble(place: str, trouble: str | None, *, loud: bool) -> None:
        """Say each change once, however often the same thing is tried again; loudly where a person has to act."""
        if trouble is None:
            event(log, logging.INFO, "trouble is over", place=place)
        else:
            event(log, logging.ERROR if loud else logging.WARNING, "trouble", place=place, reason=trouble)

    # --- actions

    async def _perform(self, action: Action, tools: Tools) -> None:
        match action:
            case ReadSource() | TakeSnapshot():
                self.observe(await self._at_source(action, tools.source))
            case DeleteSnapshot():
                self.observe(await self._delete(action, tools.source))
            case ReadReplica(site) | StartTransfer(site, _):
                self.observe(await self._at_replica(action, site, tools))
            case Publish():
                await self._publish(action, tools.publisher)
            case ReadLog(start):
                self.observe(await self._read_log(start, tools.fences))

    async def _read_log(self, start: int, fences: FenceReader) -> Observation:
        try:
            return await fences.read(self.registry.name, start)
        except (FarshoreError, *KAFKA_FAILURES) as error:
            reason = str(error) or type(error).__name__
            event(log, logging.WARNING, "fences can't be read", registry=self.registry.name, reason=reason)
            return LogFailed(reason)

    async def _at_source(self, action: ReadSource | TakeSnapshot, source: SourceStorage) -> Observation:
        began = time.monotonic()
        try:
            if isinstance(action, ReadSource):
                return SourceRead(await source.read())
            with self.traces.snapshot(action.name, action.cover):
                taken = SnapshotTaken(await source.take(action.name))
        except FarshoreError as error:
            self._count_failure(error)
            source.forget()
            return SourceFailed(error.retry, str(error))
        instruments.SNAPSHOTS.add(1, {"registry": self.registry.name})
        seconds = round(time.monotonic() - began, 3)
        event(log, logging.INFO, "snapshot taken", registry=self.registry.name, snapshot=action.name, seconds=seconds)
        return taken

    @staticmethod
    async def _prepare(snapshot: str, storage: ReplicaStorage) -> None:
        with contextlib.suppress(FarshoreError):  # the start meets it again
            await storage.prepare(snapshot)

    async def _delete(self, action: DeleteSnapshot, source: SourceStorage) -> Observation:
        try:
            await source.delete(action.snapshot)
        except FarshoreError as error:
            self._count_failure(error)
            return DeleteFailed(action.snapshot.uuid)
        return SnapshotDeleted(action.snapshot.uuid)

    async def _at_replica(self, action: ReadReplica | StartTransfer, site: str, tools: Tools) -> Observation:
        storage, relationship = tools.replicas[site], self.registry.relationships[site]
        try:
            if isinstance(action, ReadReplica):
                return await self._read(storage, relationship, tools)
            if not tools.slots.take(site, relationship.name, lambda: self.observe(SlotFreed(site))):
                return NoSlot(site)
            with self.traces.start(relationship, action.snapshot, _there(self.state.replica(site))):
                transfer = await storage.start(action.snapshot)
            traceparent = self.traces.started(site, transfer.uuid)
            self._progress_at[site] = time.monotonic() + PROGRESS_SECONDS
        except FarshoreError as error:
            self._count_failure(error, relationship)
            if error.retry is RetryClass.REDISCOVER:
                storage.forget()
            if isinstance(action, StartTransfer) or error.retry is not RetryClass.RETRY_SOON:
                tools.slots.release(site, relationship.name)
            return ReplicaFailed(site, error.retry, str(error))
        instruments.TRANSFERS.add(1, {"relationship": relationship.name})
        tools.reporter.report(relationship, "started", transfer, action.snapshot, self._events, traceparent=traceparent)
        return TransferStarted(site, transfer.uuid)

    async def _read(self, storage: ReplicaStorage, relationship: Relationship, tools: Tools) -> Observation:
        before = self.state.replica(relationship.site)
        due = time.monotonic() >= self._progress_at.get(relationship.site, 0.0)
        reading = await storage.read(before.transfer, with_progress=due and before.transfer is not None)
        observed, transfer = reading.observation, reading.transfer
        if observed.refusing is not None:
            instruments.FAILURES.add(1, {"relationship": relationship.name, "class": RetryClass.OPERATOR})
        if observed.running is not None:
            tools.slots.adopt(relationship.site, relationship.name)
        else:
            tools.slots.release(relationship.site, relationship.name)
        if transfer is not None:
            self._report_transfer(relationship, before, transfer, tools.reporter)
            if observed.failed is not None:
                instruments.FAILURES.add(1, {"relationship": relationship.name, "class": observed.failed[0]})
        return observed

    def _report_transfer(
        self, relationship: Relationship, before: Replica, transfer: Transfer, reporter: TransferReporter
    ) -> None:
        snapshot = transfer.snapshot or before.target or ""
        traceparent = self.traces.seen(relationship, transfer, snapshot, _there(before))
        phase: TransferPhase = "finished" if transfer.state == "success" else "failed"
        if transfer.active:
            self._progress_at[relationship.site] = time.monotonic() + PROGRESS_SECONDS
            phase = "progressed"
        reason = transfer.error_message if phase == "failed" else None
        reporter.report(relationship, phase, transfer, snapshot, self._events, reason, traceparent)

    async def _publish(self, action: Publish, publisher: Publisher) -> None:
        relationship = self.registry.relationships[action.site]
        position = action.start
        try:
            brought_by = self.traces.brought(action.transfer)
            async for reached in publisher.publish(relationship, action, brought_by):
                if reached.lost:
                    self.lost[action.site] = (position, reached.position)
                else:
                    instruments.ARRIVALS.add(reached.position - position, {"relationship": relationship.name})
                position = reached.position
                self.observe(Published(action.site, position))
        except RangeLostError as error:
            self._count_failure(error, relationship)
            event(log, logging.ERROR, "arrivals can't be published", relationship=relationship.name, reason=str(error))
            self.observe(PublishFailed(action.site, position))

    def _count_failure(self, error: FarshoreError, relationship: Relationship | None = None) -> None:
        place = relationship.name if relationship is not None else self.registry.name
        instruments.FAILURES.add(1, {"relationship": place, "class": error.retry})
        event(log, logging.DEBUG, "action failed", relationship=place, retry=error.retry, reason=str(error))


def _there(replica: Replica) -> int:
    """Every event before this offset is known to be at the site."""
    return max(replica.position or 0, replica.proven)


def _upstream(relationship: Relationship, registry: Registry) -> str | None:
    return relationship.source_site if relationship.source_site in registry.relationships else None
