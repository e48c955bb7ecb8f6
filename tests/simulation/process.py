"""One process of the coalescer in the simulated world: the real decisions, and a shell whose requests can go wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steps import record, record_answer
from world import Destination, InvariantError, World

from farshore.errors import RetryClass
from farshore_coalescer.apply import apply
from farshore_coalescer.decide import decide, is_held, next_wake
from farshore_coalescer.messages import (
    Action,
    Began,
    DeleteFailed,
    DeleteSnapshot,
    LogFailed,
    LogRead,
    NoSlot,
    Observation,
    Publish,
    Published,
    PublishFailed,
    ReadLog,
    ReadReplica,
    ReadSource,
    ReplicaFailed,
    ReplicaRead,
    RunningTransfer,
    SlotFreed,
    SnapshotDeleted,
    SnapshotTaken,
    SourceFailed,
    SourceRead,
    StartTransfer,
    TakeSnapshot,
    TransferStarted,
)
from farshore_coalescer.state import State

if TYPE_CHECKING:
    from schedule import Schedule

MOST_REQUESTS = 100
"""Requests to ONTAP in ten seconds, but for the watching of transfers, that a registry with up to four replicas may
need; more is a hot loop."""
CHUNK = 7
"""Offsets a transaction of arrivals."""

_REFUSALS = [RetryClass.RETRY_SOON] * 8 + [RetryClass.REDISCOVER] * 2 + [RetryClass.OPERATOR, RetryClass.FINAL]


@dataclass
class Process:
    """Lives until it is killed or told to end; one that was taken over until Kafka refuses what it wants to publish.

    While it is frozen (a stopped process, a long collection of garbage) it takes in nothing; then all at once.
    """

    schedule: "Schedule"
    state: State
    alive: bool = True
    frozen_until: float = 0.0
    wake_at: float | None = None
    requests: int = 0
    requests_since: float = 0.0

    def __post_init__(self) -> None:
        self.world: World = self.schedule.world
        self.random = self.schedule.rng.random
        self.at: Callable[[float, Callable[[], None]], None] = self.schedule.at
        self.slot_holders: set[str] = set()
        self.unheard: list[Observation] = []

    def observe(self, observation: Observation) -> None:
        """Take in an answer, unless the process is dead by now."""
        if not self.alive:
            return
        if self.frozen_until > self.world.now or self.unheard:
            self.unheard.append(observation)  # and hear it in its turn: a log is read in order
            if len(self.unheard) == 1:
                self.at(self.frozen_until, self._thaw)
            return
        self._apply(observation)
        self.decide()

    def _thaw(self) -> None:
        if self.frozen_until > self.world.now:
            self.at(self.frozen_until, self._thaw)
            return
        unheard, self.unheard = self.unheard, []
        for observation in unheard:
            self.observe(observation)

    def decide(self) -> None:
        """Do what the decisions ask for, and have the process woken when they want to be asked again."""
        now = self.world.now
        for action in decide(self.state, now):
            self._apply(Began(action))
            self._perform(action)
        wake = next_wake(self.state, now)
        if wake is not None and (self.wake_at is None or wake < self.wake_at or self.wake_at <= now):
            self.wake_at = wake
            self.at(wake, lambda: self._woken(wake))

    def _apply(self, observation: Observation) -> None:
        before = self.state
        self.state = apply(before, observation, self.world.now)
        record(self.schedule.reached, before, observation, self.state)

    def _woken(self, wake: float) -> None:
        if not self.alive or self.wake_at != wake:
            return
        if self.frozen_until > self.world.now:
            self.at(self.frozen_until, lambda: self._woken(wake))
            return
        self.wake_at = None
        self.decide()

    # --- requests

    def _perform(self, action: Action) -> None:
        if isinstance(action, Publish):
            self._publish(action, action.start)
            return
        if isinstance(action, ReadLog):
            self._read_log(action)
            return
        if isinstance(action, StartTransfer) and not self._take_slot(action.site):
            site = action.site
            record_answer(self.schedule.reached, action, NoSlot(site))
            self.at(self.world.now, lambda: self.observe(NoSlot(site)))
            self.at(self.world.now + 1.0, lambda: self.observe(SlotFreed(site)))
            return
        if not (isinstance(action, ReadReplica) and self.state.replica(action.site).transfer is not None):
            self._count_request()
        sent = self.world.now + self.random() * self.schedule.latency
        if self.random() < self.schedule.faults.lost_request:
            self._answer(sent + 5.0, action, self._failure(action, RetryClass.RETRY_SOON))
            return
        self.at(sent, lambda: self._carry_out(action))

    def _read_log(self, action: ReadLog) -> None:
        """Kafka tells where the log ends, then the records up to there."""
        pause = self.random() * 0.02

        def read() -> None:
            end = self.world.end
            if self.random() < self.schedule.faults.refused:
                self.at(self.world.now + pause, lambda: self.observe(LogFailed("it failed")))
                return
            read = LogRead(action.start, end, self.world.changes_from(action.start))
            self.at(self.world.now + pause, lambda: self.observe(read))

        self.at(self.world.now + pause, read)

    def _count_request(self) -> None:
        if self.world.now - self.requests_since >= 10.0:
            self.requests, self.requests_since = 0, self.world.now
        self.requests += 1
        if self.requests > MOST_REQUESTS:
            raise InvariantError(f"more than {MOST_REQUESTS} requests to ONTAP within ten seconds")

    def _carry_out(self, action: Action) -> None:
        """What was sent is carried out although the process may be dead by now."""
        faults = self.schedule.faults
        if self.random() < faults.refused or self._is_unreachable(action):
            answer = self._failure(action, self.schedule.rng.choice(_REFUSALS))
        else:
            answer = self._act(action)
        delay = self.random() * self.schedule.latency
        if self.random() < faults.lost_reply:
            delay, answer = 5.0, self._failure(action, RetryClass.RETRY_SOON)
        self._answer(self.world.now + delay, action, answer)

    def _answer(self, time: float, action: Action, answer: Observation) -> None:
        record_answer(self.schedule.reached, action, answer)
        self.at(time, lambda: self.observe(answer))

    def _is_unreachable(self, action: Action) -> bool:
        now = self.world.now
        if isinstance(action, ReadReplica | StartTransfer):
            return self.world.destinations[action.site].unreachable_until > now
        return self.world.source_offline_until > now and not isinstance(action, ReadSource)

    def _failure(self, action: Action, retry: RetryClass) -> Observation:
        match action:
            case ReadReplica(site) | StartTransfer(site, _):
                self.slot_holders.discard(site)
                return ReplicaFailed(site, retry, "it failed")
            case DeleteSnapshot(snapshot):
                return DeleteFailed(snapshot.uuid)
            case _:
                return SourceFailed(retry, "it failed")

    def _act(self, action: Action) -> Observation:
        world = self.world
        match action:
            case ReadReplica(site):
                return self._read_replica(world.destinations[site])
            case ReadSource():
                return SourceRead(tuple([s.reported for s in world.source]))
            case TakeSnapshot(name, _):
                if is_held(self.state, world.now):
                    raise InvariantError(f"{name} is taken by a process that said it holds a fence")
                return SnapshotTaken(world.take_snapshot(name).reported)
            case DeleteSnapshot(snapshot):
                done = world.delete_snapshot(snapshot.uuid)
                return SnapshotDeleted(snapshot.uuid) if done else DeleteFailed(snapshot.uuid)
            case StartTransfer(site, name):
                duration = self.schedule.speed[site] * (0.5 + self.random())
                fails = self.random() < self.schedule.faults.transfer_fails
                uuid = world.start_transfer(world.destinations[site], name, duration, fails)
                if uuid is None:
                    self.slot_holders.discard(site)
                    return ReplicaFailed(site, RetryClass.REDISCOVER, "refused")
                return TransferStarted(site, uuid)
            case Publish() | ReadLog():
                raise AssertionError("this is no request to ONTAP")

    def _read_replica(self, destination: Destination) -> ReplicaRead:
        self.world.settle_transfer(destination)
        site, running = destination.site, destination.running
        watched = self.state.replica(site).transfer
        failed = None
        if running is not None:
            self.slot_holders.add(site)
        else:
            self.slot_holders.discard(site)
            if watched in destination.failed_transfers:
                failed = (RetryClass.RETRY_SOON, destination.failed_transfers[watched])
        exported = destination.exported
        return ReplicaRead(
            site=site,
            exported=exported.reported.id if exported is not None else None,
            running=RunningTransfer(running.uuid, running.snapshot.name) if running is not None else None,
            failed=failed,
            refusing="the relationship is paused" if destination.paused_until > self.world.now else None,
        )

    def _take_slot(self, site: str) -> bool:
        if site not in self.slot_holders and len(self.slot_holders) >= self.schedule.slots:
            return False
        self.slot_holders.add(site)
        return True

    # --- Kafka

    def _publish(self, action: Publish, start: int) -> None:
        """Commit chunk by chunk. A new owner's start fences the old one, which ends by that."""
        self.at(self.world.now + self.random() * 0.02, lambda: self._commit(action, start))

    def _commit(self, action: Publish, start: int) -> None:
        if not self.alive:
            return
        if self.frozen_until > self.world.now:
            self.at(self.frozen_until, lambda: self._commit(action, start))
            return
        if self is not self.schedule.owner:
            self.schedule.fenced += 1
            self.alive = False
            return
        faults, end = self.schedule.faults, min(action.end, start + CHUNK)
        if self.random() < faults.refused:
            refused = PublishFailed(action.site, self.world.positions[action.site])
            record_answer(self.schedule.reached, action, refused)
            self.observe(refused)
            return
        unknown = self.random() < faults.unknown_commit
        if not unknown or self.random() < 0.5:
            self.world.commit(action.site, start, end)
        if unknown:
            self.schedule.start_lane_again(self)
            return
        if end < action.end:
            self._publish(action, end)
        published = Published(action.site, end)
        record_answer(self.schedule.reached, action, published)
        self.observe(published)
