"""What a redrive would do: reads, changes nothing."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from aiokafka import TopicPartition

from farshore.bus.clients import Bus
from farshore.bus.range_reader import RangeReader
from farshore.bus.topics import ARRIVALS, READINESS
from farshore_cli.deadletters.choose import Filter
from farshore_cli.deadletters.entry import Entry, FromArrivals, Letter
from farshore_cli.deadletters.overtaken import Overtaken
from farshore_cli.deadletters.read import DeadLetterReader
from farshore_cli.deadletters.route import Refusal, ToReceiver, objection, route
from farshore_cli.deadletters.tell import Plan


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are to be sent back: those at `offsets`, or where that is None those that pass `chosen`."""

    offsets: frozenset[int] | None
    chosen: Filter
    force: bool = False

    def has(self, entry: Entry) -> bool:
        """Whether `entry` is one of them."""
        return self.chosen.passes(entry) if self.offsets is None else entry.offset in self.offsets


async def make_plan(bus: Bus, reader: DeadLetterReader, wanted: Wanted) -> Plan:
    """Look at every wanted letter; `force` overrules what may be overruled."""
    plan = Plan()
    marks = await reader.marks()
    overtaken = Overtaken()
    first_arrivals: dict[int, int] = {}
    to_receiver: set[int] = set()
    seen: set[int] = set()
    async for offset, entry in reader.entries(*_span(wanted.offsets)):
        if not wanted.has(entry):
            continue
        seen.add(offset)
        where = route(entry)
        if offset in marks:
            plan.already.append(offset)
        elif isinstance(where, Refusal):
            plan.refused[offset] = where
        elif isinstance(entry, Letter):
            if (refusal := objection(entry)) and not wanted.force:
                plan.refused[offset] = refusal
                continue
            plan.send[offset] = str(where)
            if isinstance(where, ToReceiver):
                to_receiver.add(offset)
            if isinstance(entry.source, FromArrivals) and entry.source.arrival and not wanted.force:
                overtaken.want(offset, entry.source.arrival)
                partition = entry.source.partition
                first_arrivals[partition] = min(entry.source.offset, first_arrivals.get(partition, entry.source.offset))
    await _look_for_later(bus, overtaken, first_arrivals)
    for offset, refusal in overtaken.refusals().items():
        del plan.send[offset]
        plan.refused[offset] = refusal
    plan.missing = sorted((wanted.offsets or frozenset()) - seen)
    plan.needs_receiver = not to_receiver.isdisjoint(plan.send)
    return plan


def _span(offsets: Collection[int] | None) -> tuple[int | None, int | None]:
    return (min(offsets), max(offsets) + 1) if offsets else (None, None)


async def _look_for_later(bus: Bus, overtaken: Overtaken, first_arrivals: dict[int, int]) -> None:
    """Show `overtaken` what is decided, and what arrived since in the partitions that the letters came from."""
    if overtaken.is_empty:
        return
    for number in range(READINESS.partitions):
        await _read(
            bus,
            TopicPartition(READINESS.name, number),
            0,
            lambda key, headers, _value: overtaken.saw_statement(key, headers),
        )
    for number, first in first_arrivals.items():
        await _read(bus, TopicPartition(ARRIVALS.name, number), first, overtaken.saw_arrival)


async def _read(
    bus: Bus,
    partition: TopicPartition,
    first: int,
    take: Callable[[bytes | None, list[tuple[str, bytes]], bytes | None], None],
) -> None:
    async with RangeReader(bus, partition) as log:
        reached, end = max(first, await log.oldest()), await log.stable_end()
        while reached < end:
            reached, records = await log.chunk(reached, end)
            for record in records:
                take(record.key, list(record.headers), record.value)
