"""Writes what lanes conclude: records, offset and window in one transaction, one transaction after the other.

While one transaction is under way conclusions gather, and the next takes them all.
"""

import asyncio
import contextlib
from dataclasses import dataclass

from aiokafka import TopicPartition
from opentelemetry.trace import Span

from farshore.bus.exactly_once import ExactlyOnceStep, Position
from farshore.bus.outgoing import OutgoingRecord
from farshore.errors import FarshoreError, RetryClass
from farshore.together import failure_of
from farshore_verifier.sending import until_sent
from farshore_verifier.window import Mark, Window

MOST_AT_ONCE = 500
IDLE_COMMIT_SECONDS = 1.0
"""How often progress past arrivals of other sites is committed."""
FINISH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Conclusion:
    """Records to be written for the arrival at `offset`; `final` ends it, otherwise it has been said to be late."""

    offset: int
    records: tuple[OutgoingRecord, ...]
    final: bool
    span: Span | None = None
    """Ended when Kafka has the records."""


class Committer:
    """The one writer of a lane. The window changes only here and while reading, so that each commit is consistent."""

    def __init__(self, step: ExactlyOnceStep, group: str, partition: TopicPartition) -> None:
        self.step = step
        self._group = group
        self._partition = partition
        self._pending: list[Conclusion] = []
        self._work = asyncio.Event()
        self._finishing = False
        self._failure: BaseException | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, window: Window, committed: Mark) -> None:
        """Begin to write; `window` is the lane's, `committed` what was restored: what differs by now is written too."""
        self._task = asyncio.create_task(self._run(window, committed))

    def conclude(self, conclusion: Conclusion) -> None:
        """Have `conclusion` written, after those before it."""
        self._pending.append(conclusion)
        self._work.set()

    def note_progress(self) -> None:
        """Reading went on; that is committed with the next conclusions, or after a while."""
        self._work.set()

    def check(self) -> None:
        """Raise what made the lane fail, if it did."""
        if self._task is not None and self._task.cancelled():
            self._failure = failure_of(self._task)
        if self._failure is None:
            return
        if isinstance(self._failure, FarshoreError):
            raise self._failure
        reason = f"{type(self._failure).__name__}: {self._failure}"
        raise FarshoreError("verify", self._group, reason, retry=RetryClass.RETRY_SOON) from self._failure

    async def finish(self) -> None:
        """Write what is pending, unless that takes too long, and end."""
        if self._task is None:
            return
        self._finishing = True
        self._work.set()
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(self._task, FINISH_SECONDS)

    async def _run(self, window: Window, committed: Mark) -> None:
        try:
            await self._write_until_finished(window, committed)
        except Exception as error:  # noqa: BLE001 - the task's outermost level: the lane fails and starts again
            self._failure = error

    async def _write_until_finished(self, window: Window, committed: Mark) -> None:
        clock = asyncio.get_running_loop().time
        committed_at = clock()
        while True:
            if not self._pending and not self._finishing:
                await self._pause(window.mark() != committed, committed_at + IDLE_COMMIT_SECONDS - clock())
            self._work.clear()
            conclusions, self._pending = self._pending[:MOST_AT_ONCE], self._pending[MOST_AT_ONCE:]
            mark = window.conclude((conclusion.offset, conclusion.final) for conclusion in conclusions)
            due = mark != committed and (self._finishing or clock() - committed_at >= IDLE_COMMIT_SECONDS)
            if conclusions or due:
                records = [record for conclusion in conclusions for record in conclusion.records]
                position = Position(self._group, self._partition, mark.offset, mark.metadata)
                with until_sent(one.span for one in conclusions if one.span is not None):
                    await self.step.commit(records, [position])
                committed, committed_at = mark, clock()
            elif self._finishing:
                return

    async def _pause(self, progressed: bool, seconds: float) -> None:
        """Wait for work; where reading has progressed, no longer than until that is due to be committed."""
        if progressed and seconds <= 0:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._work.wait(), seconds if progressed else None)
