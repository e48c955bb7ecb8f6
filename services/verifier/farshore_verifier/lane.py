"""One partition of `farshore.arrivals` at one site: arrivals in, readiness out, exactly once."""

import asyncio
import contextlib
import logging

from aiokafka import ConsumerRecord, TopicPartition

from farshore.bus.clients import Bus
from farshore.bus.closing import STOP_SECONDS, close_within
from farshore.bus.exactly_once import ExactlyOnceStep
from farshore.bus.range_reader import RangeReader
from farshore.records.arrivals import Arrival
from farshore.records.cloudevent import MalformedRecordError
from farshore.records.events import ANNOUNCED_KINDS
from farshore.telemetry import event as log_event
from farshore.telemetry import extract_context
from farshore.together import is_cancelled
from farshore_verifier import metrics
from farshore_verifier.announce import (
    LARGEST_RECORD_BYTES,
    dead_letter_record,
    record_bytes,
    record_name,
    superseded_statement,
)
from farshore_verifier.commit import Committer, Conclusion
from farshore_verifier.docket import Begin, Docket, Overtaken
from farshore_verifier.outcome import pause_seconds
from farshore_verifier.sending import begin_sending
from farshore_verifier.site import Site
from farshore_verifier.undecided import Undecided
from farshore_verifier.window import Mark, Standing, Window

log = logging.getLogger(__name__)

MOST_FAILURES = 5
"""So often deciding one arrival may fail in a way that nobody foresaw, within some seconds; then it is given up."""
PAUSES_SKIPPED = 3


class ArrivalLane:
    """The lane of `partition` at `site`. Nothing but Kafka has to be remembered for it to go on elsewhere."""

    def __init__(self, bus: Bus, partition: TopicPartition, site: Site) -> None:
        self._bus = bus
        self._partition = partition
        self._site = site
        self._docket = Docket(Window(0))
        self._undecided: dict[int, Undecided] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        step = ExactlyOnceStep(bus, f"{site.group}.{partition.topic}.{partition.partition}")
        self._committer = Committer(step, site.group, partition)
        self._resources = contextlib.AsyncExitStack()

    async def open(self) -> int:
        """Fence former owners, take over where they were, and return the offset to read from."""
        await self._resources.enter_async_context(self._committer.step)
        group = self._site.group
        found = (await self._committer.step.positions([group], self._partition))[group]
        mark = Mark(found.offset, found.metadata) if found else Mark(0, "")
        window = Window.restore(mark)
        committed = window.mark()
        async with RangeReader(self._bus, self._partition) as reader:
            oldest = await reader.oldest()
        if window.low < oldest:
            await self._ask_for_reconcile(window.low, oldest)
            window.read_to(oldest)
        self._docket = Docket(window)
        self._committer.start(window, committed)
        return mark.offset

    def room(self) -> int:
        """How many records may be taken now; 0 while too many are undecided."""
        return self._docket.window.room()

    async def take(self, records: "list[ConsumerRecord[bytes, bytes]]", reached: int) -> None:
        """Begin with the arrivals among `records`; raises what made committing fail."""
        self._committer.check()
        for record in records:
            self._read(record)
        window = self._docket.window
        if vanished := window.vanished_before(reached):  # since the lane was opened
            await self._ask_for_reconcile(vanished[0], reached)
        window.read_to(reached)
        self._committer.note_progress()

    async def _ask_for_reconcile(self, low: int, oldest: int) -> None:
        """Before the window forgets what is gone: a crash in between asks again."""
        lost = f"{self._partition.topic}/{self._partition.partition}@{low}"
        await self._site.snapshots.ask_for_reconcile(self._site.name, self._site.replicates, lost, oldest)

    async def close(self) -> None:
        """Commit what is decided; what isn't is left to the next owner."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._committer.finish()
        await close_within(STOP_SECONDS, self._resources.aclose())
        metrics.waiting.add(-len(self._undecided), {"site": self._site.name})

    def _read(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        site = dict(record.headers).get("ce_site") or b""  # tells without parsing
        if not self._site.takes(site.decode(errors="replace")):
            return
        decided = self._docket.window.standing(record.offset) is Standing.DECIDED
        if record_bytes(record) > LARGEST_RECORD_BYTES:
            if not decided:
                self._refuse(record, "too-large", f"it has more than {LARGEST_RECORD_BYTES} bytes")
            return
        try:
            arrival = Arrival.from_record(record.headers, record.value, record_name(record))
        except MalformedRecordError as error:
            if not decided:
                self._refuse(record, "malformed", str(error))
            return
        if arrival.site != self._site.name or arrival.event.registry not in self._site.verifiers:
            if self._site.leaves_to_its_own(arrival.event.registry, arrival.site):
                return
            if not decided and arrival.event.kind in ANNOUNCED_KINDS:
                reason = f"the topology has no registry {arrival.event.registry} at {arrival.site}"
                self._refuse(record, "unknown-registry", reason)
            return
        reading = self._docket.read(record.offset, arrival)
        for earlier, reach in reading.touched:
            self._undecided[earlier].attempts.touch(reach)
        for earlier in reading.moved:
            self._undecided[earlier].attempts.hurry()
        match reading.role:
            case Begin() as begin:
                self._begin(record, arrival, begin)
            case Overtaken() as overtaken:
                self._pass_over(record, arrival, overtaken)

    def _refuse(self, record: "ConsumerRecord[bytes, bytes]", code: str, reason: str) -> None:
        self._docket.refuse(record.offset)
        log_event(log, logging.ERROR, "arrival refused", arrival=record_name(record), code=code, reason=reason)
        letter = dead_letter_record(record, code, reason, self._site.now())
        self._committer.conclude(Conclusion(record.offset, (letter,), final=True))

    def _pass_over(self, record: "ConsumerRecord[bytes, bytes]", arrival: Arrival, overtaken: Overtaken) -> None:
        """End an arrival whose image has a newer event, or the same one again."""
        statement = None if overtaken.spoken else superseded_statement(arrival, self._site.now())
        log_event(
            log,
            logging.INFO,
            "an arrival is passed over: its image has this event or a newer one already",
            arrival=record_name(record),
            image=arrival.event.image,
            generation=str(arrival.generation),
            newest=overtaken.newest.offset,
        )
        if statement is None:
            self._committer.conclude(Conclusion(record.offset, (), final=True))
            return
        outgoing, span = begin_sending(statement, extract_context(arrival.traceparent))
        self._committer.conclude(Conclusion(record.offset, (outgoing,), final=True, span=span))

    def _begin(self, record: "ConsumerRecord[bytes, bytes]", arrival: Arrival, begin: Begin) -> None:
        undecided = Undecided(
            record,
            arrival,
            self._site,
            self._committer.conclude,
            after=None if begin.after is None else self._undecided[begin.after],
            late=begin.late,
        )
        if begin.touched is not None:
            undecided.attempts.touch(begin.touched)
        self._undecided[record.offset] = undecided
        metrics.waiting.add(1, {"site": self._site.name})
        task = asyncio.create_task(self._decide(undecided), name=record_name(record))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _decide(self, undecided: Undecided) -> None:
        failures = 0
        while (state := undecided.ended) is None:
            try:
                await undecided.decide()
            except (Exception, asyncio.CancelledError) as error:
                if is_cancelled():
                    raise
                # The task's outermost level. What nobody foresaw, a library's own cancellation too, is this arrival's
                # trouble alone: a lane that started again because of it would meet it again, for ever, and take all
                # others along.
                failures += 1
                log.exception("deciding %s failed unexpectedly, time %d", record_name(undecided.record), failures)
                metrics.unexpected_failures.add(1, {"site": self._site.name})
                if failures >= MOST_FAILURES:
                    undecided.give_up(error, failures)
                else:
                    await asyncio.sleep(pause_seconds(failures + PAUSES_SKIPPED, self._site.jitter.random()))
        self._docket.end(undecided.record.offset, undecided.image, state)
        del self._undecided[undecided.record.offset]
        metrics.waiting.add(-1, {"site": self._site.name})
