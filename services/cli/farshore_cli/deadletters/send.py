"""Sends letters back, each at most once however often this is run, killed, or run twice at the same time.

The mark decides: a letter that has one is done. For an arrival the copy and the mark are one Kafka transaction. One
transactional id for all redrives keeps two from sending at once: the one that starts fences the other, and reads the
marks only then, so it sees all that the other one has done. A notification is marked after the receiver has answered.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from farshore.bus.exactly_once import ExactlyOnceStep
from farshore.bus.outgoing import OutgoingRecord
from farshore.bus.topics import ARRIVALS, DEADLETTER
from farshore.records.deadletters import Redriven
from farshore_cli.deadletters.entry import Letter
from farshore_cli.deadletters.post import NotTaken, Receiver
from farshore_cli.deadletters.read import DeadLetterReader
from farshore_cli.deadletters.route import Refusal, ToArrivals, ToReceiver, route
from farshore_cli.deadletters.tell import Sent

TRANSACTIONAL_ID = f"farshore.redrive.{DEADLETTER.name}.0"
MOST_AT_ONCE = 200
MOST_BYTES_AT_ONCE = 4 * 1024 * 1024


class Sender:
    """Sends what a plan says. `step` is entered, `reader` was opened after that; `advance` hears of each letter."""

    def __init__(
        self, step: ExactlyOnceStep, reader: DeadLetterReader, receiver: Receiver | None, advance: Callable[[], None]
    ) -> None:
        self._step = step
        self._reader = reader
        self._receiver = receiver
        self._advance = advance
        self._done = Sent()
        self._batch: list[tuple[Letter, ToArrivals]] = []
        self._bytes = 0

    async def send(self, offsets: dict[int, str]) -> Sent:
        """Send the letters at `offsets` that have no mark, oldest first."""
        if not offsets:
            return self._done
        marks = await self._reader.marks()
        async for offset, entry in self._reader.entries(min(offsets), max(offsets) + 1):
            if offset not in offsets or not isinstance(entry, Letter):
                continue
            if offset in marks:
                self._advance()
                continue
            match route(entry):
                case ToArrivals() as to:
                    await self._gather(entry, to)
                case ToReceiver() as to:
                    await self._post(entry, to)
                case Refusal():
                    raise AssertionError("a plan holds no letter without a way")
        await self._flush()
        return self._done

    async def _gather(self, letter: Letter, to: ToArrivals) -> None:
        size = len(letter.record.value)
        if self._batch and (len(self._batch) >= MOST_AT_ONCE or self._bytes + size > MOST_BYTES_AT_ONCE):
            await self._flush()
        self._batch.append((letter, to))
        self._bytes += size

    async def _flush(self) -> None:
        records = []
        for letter, to in self._batch:
            record = letter.record
            records.append(OutgoingRecord(ARRIVALS.name, letter.key, record.value, list(record.original_headers)))
            records.append(_mark(letter, str(to)))
        if records:
            await self._step.commit(records, [])
        for _ in self._batch:
            self._done.sent += 1
            self._advance()
        self._batch, self._bytes = [], 0

    async def _post(self, letter: Letter, to: ToReceiver) -> None:
        if self._receiver is None:
            raise AssertionError("a plan with notifications needs a receiver")
        answer = await self._receiver.post(to, letter.record.value)
        if isinstance(answer, NotTaken):
            self._done.not_taken[letter.offset] = answer.reason
        else:
            await self._step.commit([_mark(letter, str(to))], [])
            self._done.sent += 1
            if answer.again:
                self._done.again.append(letter.offset)
        self._advance()


def _mark(letter: Letter, to: str) -> OutgoingRecord:
    mark = Redriven(letter.offset, to, datetime.now(UTC))
    return OutgoingRecord(DEADLETTER.name, letter.key, b"", mark.headers())
