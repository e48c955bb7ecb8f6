"""Reads `farshore.deadletter`, in bounded chunks and committed records only."""

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from aiokafka import TopicPartition

from farshore.bus.clients import Bus
from farshore.bus.end_of_log import end_of_log
from farshore.bus.failures import KAFKA_FAILURES
from farshore.bus.range_reader import RangeReader
from farshore.bus.topics import DEADLETTER
from farshore.errors import ConfigurationError, FarshoreError, RetryClass
from farshore.records.deadletters import Redriven
from farshore_cli.deadletters.entry import Entry, read_entry
from farshore_cli.deadletters.marks import Marks

PARTITION = TopicPartition(DEADLETTER.name, 0)
_REQUEST_MS = 10_000


@contextlib.asynccontextmanager
async def failures_of(bus: Bus, doing: str) -> AsyncIterator[None]:
    """What Kafka's client raises, as a FarshoreError that says which Kafka and what was tried."""
    try:
        yield
    except BrokenPipeError:  # of the command's own output, as with `| head`
        raise
    except ConfigurationError:
        raise
    except KAFKA_FAILURES as error:
        reason = str(error) or type(error).__name__
        hint = "start it, or correct the address and the firewall between"
        raise FarshoreError(
            doing, f"Kafka {bus.bootstrap_servers}", reason, retry=RetryClass.RETRY_SOON, hint=hint
        ) from error


class DeadLetterReader:
    """Reads the log from its oldest record to `end`, where it ended when this was opened."""

    def __init__(self, log: RangeReader, oldest: int, end: int) -> None:
        self._log = log
        self.oldest = oldest
        self.end = end

    async def entries(self, start: int | None = None, end: int | None = None) -> AsyncIterator[tuple[int, Entry]]:
        """Each letter in [start, end) with its offset, oldest first, and what is none; marks are left out."""
        async for offset, found in self._records(start, end):
            if not isinstance(found, Redriven):
                yield offset, found

    async def marks(self) -> Marks:
        """Which letters were sent back; reads the log to its end."""
        marks = Marks(self.oldest)
        async for offset, found in self._records():
            if isinstance(found, Redriven):
                marks.add(found, offset)
        return marks

    async def mark_of(self, offset: int) -> Redriven | None:
        """The mark of the letter at `offset`."""
        async for _, found in self._records(offset + 1):
            if isinstance(found, Redriven) and found.offset == offset:
                return found
        return None

    async def _records(
        self, start: int | None = None, end: int | None = None
    ) -> AsyncIterator[tuple[int, Entry | Redriven]]:
        first = max(self.oldest, start or 0)
        last = self.end if end is None else min(end, self.end)
        async for record in self._log.records(first, last):
            at = datetime.fromtimestamp(max(0, record.timestamp) / 1000, UTC)
            where = f"{record.topic}/{record.partition}@{record.offset}"
            yield record.offset, read_entry(record.offset, record.key, record.headers, record.value, at, where)


@contextlib.asynccontextmanager
async def open_dead_letters(bus: Bus, *, to_the_very_end: bool = False) -> AsyncIterator[DeadLetterReader]:
    """The topic as it is now. Raises ConfigurationError where there is none, or one that isn't farshore's.

    It ends where a transaction is open, for instance a killed service's until Kafka ends it after a minute. With
    `to_the_very_end` it goes on behind that, and reading waits for it.
    """
    await _check_topic(bus)
    async with RangeReader(bus, PARTITION) as log:
        oldest = await log.oldest()
        end = await (end_of_log(bus, PARTITION) if to_the_very_end else log.stable_end())
        yield DeadLetterReader(log, oldest, end)


async def _check_topic(bus: Bus) -> None:
    admin = bus.admin(timeout_ms=_REQUEST_MS)
    try:
        await admin.start()
        if DEADLETTER.name not in await admin.list_topics():
            raise ConfigurationError(
                "read",
                DEADLETTER.name,
                "there is no such topic",
                hint="is it the right Kafka? farshore's services make it",
            )
        described = (await admin.describe_topics([DEADLETTER.name]))[0]
        if len(described["partitions"]) != 1:
            raise ConfigurationError(
                "read", DEADLETTER.name, "it has several partitions", hint="farshore needs one: offsets name letters"
            )
    finally:
        await admin.close()
