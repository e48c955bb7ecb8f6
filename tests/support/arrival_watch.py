"""Follows arrivals as they are committed, and looks at the replica's own disk at that very moment."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiokafka import TopicPartition
from coalescer_world import World
from waiting import wait_until

from farshore.bus.topics import ARRIVALS
from farshore.records.arrivals import Arrival


@dataclass
class ArrivalWatch:
    """`seen`: how often each event arrived, by site. `early`: what was announced before its content was there."""

    world: World
    seen: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    early: list[str] = field(default_factory=list)
    meddled: set[str] = field(default_factory=set)
    """Sites whose volume somebody takes away or sets back just now: a look at the disk tells nothing then."""
    _following: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        assert self._following is not None
        self._following.cancel()
        await asyncio.wait({self._following})

    async def until(self, *sites: str, within_seconds: float = 90) -> None:
        """Wait until all that was announced so far has arrived at `sites`, all of them when none is named."""
        ids = set(self.world.announced_ids)

        def wanting() -> dict[str, list[str]]:
            assert self._following is not None
            if self._following.done():
                self._following.result()
            return {site: sorted(ids - set(self.seen[site])) for site in sites or self.world.replicas}

        try:
            await wait_until(lambda: not any(wanting().values()), within_seconds, "arrivals")
        except AssertionError:
            raise AssertionError(f"still wanting {wanting()}\n{self.world.coalescer.log()}") from None

    def has(self, site: str, number: int) -> bool:
        """Whether event `number` has arrived at `site`."""
        return self.world.announced_ids[number] in self.seen[site]

    async def _follow(self) -> None:
        consumer = self.world.bus.reader()
        places = [TopicPartition(ARRIVALS.name, number) for number in range(ARRIVALS.partitions)]
        consumer.assign(places)
        await consumer.start()
        try:
            await consumer.seek_to_beginning(*places)
            while True:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        self._look(Arrival.from_record(record.headers, record.value, "watch"))
        finally:
            await consumer.stop()

    def _look(self, arrival: Arrival) -> None:
        self.seen[arrival.site][arrival.event.id] += 1
        number = self.world.announced_ids.index(arrival.event.id)
        there, wanted = self.world.path(arrival.site, number), self.world.path(self.world.primary, number)
        try:
            same = there.read_bytes() == wanted.read_bytes()
        except OSError:
            same = False
        if not same and arrival.site not in self.meddled:
            self.early.append(f"{arrival.event.id} at {arrival.site}, by {arrival.passage.snapshot}")


def repeated(watch: ArrivalWatch, sites: Sequence[str]) -> list[str]:
    """What arrived more than once."""
    return [f"{event} at {site}" for site in sites for event, times in watch.seen[site].items() if times > 1]
