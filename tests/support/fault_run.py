"""The frame of a fault test: continuous pushes, readiness checked on the replicas' disks, the auditor's verdict.

    with LocalStack(tmp_path / "state", "--instances", "3") as stack:
        async with FaultRun.of(stack, seed) as run:
            ...break something...
            verdict = await run.verdict()
        assert verdict.violations == []

Whatever runs the services may be used in place of LocalStack: give FaultRun its Kafka, edge and replicas' folders.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Collection, Container, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from auditor import Pushed, audit, owed
from evidence import TOPICS, Evidence
from image_pushes import ContinuousPushes
from local_stack import LocalStack
from replica_disk import wrong_on_disk
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.failures import KAFKA_FAILURES
from farshore.bus.topics import READINESS
from farshore.records.readiness import EVERYWHERE, Readiness, ReadinessState


@dataclass(frozen=True, slots=True)
class Verdict:
    """Every broken promise, one line each, and what the run amounted to."""

    violations: list[str]
    figures: dict[str, Any]


@dataclass
class EarlyCheck:
    """Looks at the replica's own disk, manifest, config and layers, as soon as an image is called ready there.

    `seconds_after` says how soon that was: an announcement that was early by less escapes this check.
    `pushed_again`: see wrong_on_disk. `before_deletion`: by site, repository and digest, what the site served before an
    image was deleted; what is said of it then may be read when the deletion has come there.
    """

    folders: Mapping[str, Path]
    pushed_again: Callable[[], Container[tuple[str, str]]] = frozenset
    early: list[str] = field(default_factory=list)
    seconds_after: list[float] = field(default_factory=list)
    before_deletion: dict[tuple[str, str, str], Path] = field(default_factory=dict)

    def look(self, one: Readiness) -> None:
        """Check the image of a statement that says READY of a site."""
        if one.state is not ReadinessState.READY or one.site == EVERYWHERE or one.digest is None:
            return
        self.seconds_after.append((datetime.now(UTC) - one.ready_at).total_seconds())
        root = self.before_deletion.get((one.site, one.repository, one.digest), self.folders[one.site])
        wrong = wrong_on_disk(root, one.repository, one.digest, self.pushed_again())
        self.early += [f"{one.image} was called ready at {one.site} too early: {what}" for what in wrong]


class FaultRun:
    """Pushes from entering until `verdict` or leaving, and follows the topics all the time.

    `folders`: where each replica site's registry has its content. Everything random comes from `seed`.
    `may_fail`: failures of verification that the test's faults may justly lead to.
    """

    def __init__(
        self,
        bus: Bus,
        edge: str,
        folders: Mapping[str, Path],
        seed: int,
        *,
        pushers: int = 2,
        pause_seconds: float = 0.15,
        may_fail: Collection[ReadinessState] = (),
    ) -> None:
        self.bus = bus
        self.sites = list(folders)
        self.evidence = Evidence()
        """What has been read so far: for conditions to wait for. The verdict reads everything anew."""
        self.check = EarlyCheck(folders, self._pushed_again)
        self._may_fail = may_fail
        self._pushers = [
            ContinuousPushes(edge, f"team{number}", random.Random(f"{seed}/{number}"), self._deletable, pause_seconds)
            for number in range(pushers)
        ]
        self._pushing: list[asyncio.Task[None]] = []
        self._following: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, stack: LocalStack, seed: int, **options: Any) -> Self:
        """A run against a stack that is up."""
        endpoints = stack.endpoints
        sites = endpoints["sites"]
        folders = {name: Path(site["path"]) for name, site in sites.items() if site["role"] == "replica"}
        edge = next(site["edge"] for site in sites.values() if site["role"] == "primary")
        return cls(Bus(endpoints["kafka"]["bootstrap_servers"], "fault-run"), edge, folders, seed, **options)

    @property
    def pushed(self) -> list[Pushed]:
        """What the registry acknowledged so far."""
        return [push for pusher in self._pushers for push in pusher.pushed]

    async def __aenter__(self) -> Self:
        self._following = asyncio.create_task(self._follow(), name="follow the topics")
        self._pushing = [asyncio.create_task(pusher.run(), name="push") for pusher in self._pushers]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [*self._pushing, *([self._following] if self._following else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def check_health(self) -> None:
        """Raise what ended pushing or following."""
        for task in (*self._pushing, self._following):
            if task is not None and task.done() and not task.cancelled():
                task.result()

    async def until_pushed(self, count: int, within_seconds: float = 60) -> None:
        """Wait until so many pushes have been acknowledged."""

        def enough() -> bool:
            self.check_health()
            return len(self.pushed) >= count

        await wait_until(enough, within_seconds, f"{count} pushes")

    async def until_events(self, count: int, within_seconds: float = 120) -> None:
        """Wait until so many events have been accepted."""

        def enough() -> bool:
            self.check_health()
            return len(self.evidence.events) >= count

        await wait_until(enough, within_seconds, f"{count} events")

    async def until_ready(self, within_seconds: float = 120) -> None:
        """Wait until an image has been called ready."""

        def one_is() -> bool:
            self.check_health()
            return any(one.what.state is ReadinessState.READY for one in self.evidence.statements)

        await wait_until(one_is, within_seconds, "the first image to be ready")

    async def verdict(self, settled_within_seconds: float = 90) -> Verdict:
        """End the pushes, wait until nothing is owed any more, read all topics from the beginning and judge."""
        late = await self._settle(settled_within_seconds)
        found = await audit(self.bus, self.sites, pushed=self.pushed, may_fail=self._may_fail)
        return Verdict(self.check.early + late + found + self._gone(), self._figures())

    def _gone(self) -> list[str]:
        """What was called ready, wasn't deleted, and isn't whole on the replica's disk any more."""
        deleted = {(push.repository, push.digest) for pusher in self._pushers for push in pusher.deleted}
        ready = {
            (one.what.site, one.what.repository, one.what.digest)
            for one in self.evidence.statements
            if one.what.state is ReadinessState.READY and one.what.site != EVERYWHERE and one.what.digest is not None
        }
        return [
            f"{repository}@{digest} was called ready at {site} and is no longer whole: {wrong}"
            for site, repository, digest in sorted(ready)
            if (repository, digest) not in deleted
            for wrong in wrong_on_disk(self.check.folders[site], repository, digest)
        ]

    async def _settle(self, within_seconds: float) -> list[str]:
        """What is still owed when the time is over."""
        for pusher in self._pushers:
            pusher.stop()
        await asyncio.gather(*self._pushing)
        looked_at = -1

        def nothing_owed() -> bool:
            nonlocal looked_at
            self.check_health()
            if looked_at == self.evidence.records:  # nothing new: to look again would only cost time
                return False
            looked_at = self.evidence.records
            return not self._owed()

        try:
            await wait_until(nothing_owed, within_seconds, "all that was pushed to be decided everywhere")
        except AssertionError:
            wanting = self._owed()
            return [f"{len(wanting)} things are still owed long after the last push: {wanting[:5]}"]
        return []

    def _owed(self) -> list[str]:
        return owed(self.evidence, self.sites, pushed=self.pushed, may_fail=self._may_fail)

    def _figures(self) -> dict[str, Any]:
        states = Counter(str(one.what.state) for one in self.evidence.statements)
        return {
            "pushes": len(self.pushed),
            "deletions": sum(len(pusher.deleted) for pusher in self._pushers),
            "tries": sum(pusher.tries for pusher in self._pushers),
            "events": len(self.evidence.events),
            "arrivals": len(self.evidence.arrivals),
            "readiness": dict(sorted(states.items())),
            "checked_on_disk": len(self.check.seconds_after),
            "checked_after": _spread(self.check.seconds_after),
        }

    def _deletable(self) -> list[Pushed]:
        """Images that were pushed once and are decided everywhere, oldest first: nothing is known of them any more that
        a deletion could make moot."""
        times = Counter((push.repository, push.digest) for push in self.pushed)
        deleted = {push for pusher in self._pushers for push in pusher.deleted}
        decided = Counter(
            (one.what.repository, one.what.digest, one.what.tag)
            for one in self.evidence.statements
            if one.what.state is ReadinessState.READY_EVERYWHERE
        )
        return [
            push
            for push in self.pushed
            if push.tag is not None  # others may be an index's
            and times[push.repository, push.digest] == 1
            and push not in deleted
            and (push.repository, push.digest, push.tag) in decided
        ]

    def _pushed_again(self) -> set[tuple[str, str]]:
        return {what for pusher in self._pushers for what, times in pusher.written.items() if times > 1}

    async def _follow(self) -> None:
        """Read everything from the beginning on; a Kafka that is away is waited for."""
        places = [TopicPartition(topic.name, number) for topic in TOPICS for number in range(topic.partitions)]
        reached = dict.fromkeys(places, 0)
        while True:
            consumer: AIOKafkaConsumer = self.bus.reader(longest_poll_seconds=0.05)
            consumer.assign(places)
            try:
                await consumer.start()
                for place in places:
                    consumer.seek(place, reached[place])
                while True:
                    for place, records in (await consumer.getmany(timeout_ms=200)).items():
                        for record in records:
                            self._take(record)
                            reached[place] = record.offset + 1
            except KAFKA_FAILURES:
                await asyncio.sleep(0.5)
            finally:
                await consumer.stop()

    def _take(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        before = len(self.evidence.statements)
        self.evidence.take(record)
        if record.topic == READINESS.name and len(self.evidence.statements) > before:
            self.check.look(self.evidence.statements[-1].what)


def _spread(seconds: list[float]) -> str:
    if not seconds:
        return "never"
    ordered = sorted(seconds)
    median, late = (ordered[len(ordered) * part // 100] for part in (50, 99))
    return f"{median * 1000:.0f} ms (median), {late * 1000:.0f} ms (p99)"
