"""Reads the fences of a registry from the log, up to where it really ends."""

import asyncio
from types import TracebackType
from typing import Self

from aiokafka import ConsumerRecord, TopicPartition

from farshore.bus.clients import Bus
from farshore.bus.range_reader import RangeReader
from farshore.records.cloudevent import MalformedRecordError
from farshore.records.fences import LIFTED_TYPE, RAISED_TYPE, FenceLifted, FenceRaised
from farshore_coalescer.fences import Change, Lifted, Raised
from farshore_coalescer.messages import LogRead


def change_of(record: "ConsumerRecord[bytes, bytes]") -> Change | None:
    """What a record of `farshore.events` says of a fence, if it does."""
    kind = dict(record.headers).get("ce_type")
    where = f"{record.topic}/{record.partition}@{record.offset}"
    try:
        if kind == RAISED_TYPE.encode():
            raised = FenceRaised.from_json(record.value or b"", where)
            return Raised(record.offset, raised.fence, float(raised.limit_seconds), raised.reason)
        if kind == LIFTED_TYPE.encode():
            return Lifted(record.offset, FenceLifted.from_json(record.value or b"", where).fence)
    except MalformedRecordError:
        return None  # whoever wrote it waits in vain for the fence to be held
    return None


class FenceReader:
    """One lane's. Reads what isn't committed too: a fence behind somebody's open transaction has to be seen."""

    def __init__(self, bus: Bus, partition: TopicPartition) -> None:
        self._reader = RangeReader(bus, partition, committed=False)
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._reader.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._reader.__aexit__(kind, error, trace)

    async def read(self, registry: str, start: int) -> LogRead:
        """The fences from `start` to where the log ends now. Raises FarshoreError or one of KAFKA_FAILURES."""
        key = registry.encode()
        async with self._turn:
            end = await self._reader.stable_end()
            place = max(start, await self._reader.oldest()) if start < end else end
            changes = [
                change
                async for record in self._reader.records(place, end)
                if record.key == key and (change := change_of(record)) is not None
            ]
            return LogRead(start, end, tuple(changes))
