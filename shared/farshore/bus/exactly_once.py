"""The exactly-once step: records out and the position in, in one Kafka transaction.

aiokafka sends offsets to a transaction without the group's generation, so what keeps a zombie out is the transactional
id: one per input partition, so that whoever starts to own the partition fences whoever owned it before.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerFenced, UnknownError
from aiokafka.structs import OffsetAndMetadata

from farshore.bus.batches import Batches
from farshore.bus.clients import Bus
from farshore.bus.closing import asked_for, close_within, take_exception
from farshore.bus.committed import find_positions
from farshore.bus.outgoing import OutgoingRecord
from farshore.errors import FarshoreError, RetryClass
from farshore.telemetry import event

log = logging.getLogger(__name__)

CLOSE_SECONDS = 2.0
"""How long aborting a transaction, and closing the producer, may take each."""


class FencedError(FarshoreError):
    """Another instance owns this partition now, or the transaction timed out: go back to the committed position."""

    def __init__(self, transactional_id: str) -> None:
        super().__init__("commit", transactional_id, "another instance has taken over", retry=RetryClass.REDISCOVER)


@dataclass(frozen=True, slots=True)
class Position:
    """A consumer group's next offset on a partition, with up to 4 KiB of text that is committed beside it."""

    group: str
    partition: TopicPartition
    offset: int
    metadata: str = ""


class ExactlyOnceStep:
    """Commits output records and positions together, or neither. One at a time per instance: callers take turns.

    A commit that fails or is cancelled spends the step, since its outcome is unknown: read the committed position and
    enter a new one.
    """

    def __init__(self, bus: Bus, transactional_id: str) -> None:
        self._bus = bus
        self._transactional_id = transactional_id
        self._producer: AIOKafkaProducer | None = None
        self._spent: FarshoreError | None = None

    async def __aenter__(self) -> Self:
        producer = self._bus.transactional_producer(self._transactional_id)
        try:
            await producer.start()
        except BaseException:
            await close_within(CLOSE_SECONDS, producer.stop())
            raise
        self._producer, self._batches = producer, Batches(producer)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await close_within(CLOSE_SECONDS, producer.stop())

    async def positions(self, groups: Iterable[str], partition: TopicPartition) -> dict[str, OffsetAndMetadata | None]:
        """Each group's committed offset on `partition`, which nobody else can move any more; None where there is none.

        Kafka 4.4 may lose the marker of a transaction's end when a broker dies (docs/adr/0008): a position that rests
        on one is committed again, so that others can tell it too.

        Raises as `committed_positions` does, and as `commit`; KafkaError while Kafka is away.
        """
        self._started()  # which fenced whoever had it, and waited until the end of a transaction of theirs was decided
        found = await find_positions(self._bus, groups, partition, self._transactional_id)
        for group in sorted(found.unmarked):
            position = found.positions[group]
            offset = None if position is None else position.offset
            event(
                log,
                logging.WARNING,
                "the end of a transaction was lost",
                group=group,
                partition=str(partition),
                offset=offset,
            )
            if position is not None:
                await self.commit([], [Position(group, partition, position.offset, position.metadata)])
        return found.positions

    async def commit(self, records: Iterable[OutgoingRecord], positions: Iterable[Position]) -> None:
        """Write `records` and move `positions`, all of one group, in one transaction.

        Raises FencedError when another instance took over, and FarshoreError for any other refusal of Kafka's: final
        for a record that is too large, else retry soon. Whether the transaction happened must then be read from the
        committed position.
        """
        positions = list(positions)
        if len({position.group for position in positions}) > 1:  # aiokafka adds only the first to the transaction
            raise ValueError("a transaction moves the positions of one group")
        producer = self._started()
        if self._spent is not None:
            raise self._spent
        self._spent = FarshoreError(
            "commit", self._transactional_id, "an earlier commit of this step didn't end", retry=RetryClass.REDISCOVER
        )
        try:
            await producer.begin_transaction()
            producer._txn_manager.wait_for_transaction_end().add_done_callback(take_exception)  # it fails with the rest
            try:
                await _write(producer, self._batches, records, positions)
            except ProducerFenced:
                raise
            except BaseException:
                # aiokafka's own context would wait for Kafka, also when it is away and this is being cancelled
                await close_within(CLOSE_SECONDS, producer.abort_transaction())
                raise
            await asked_for(producer.commit_transaction())
        except ProducerFenced as error:
            self._spent = FencedError(self._transactional_id)
            raise self._spent from error
        except KafkaError as error:
            if _fenced_while_it_ended(error):
                self._spent = FencedError(self._transactional_id)
                raise self._spent from error
            too_large = isinstance(error, MessageSizeTooLargeError)
            retry = RetryClass.FINAL if too_large else RetryClass.RETRY_SOON
            reason = str(error) or type(error).__name__
            raise FarshoreError("commit", self._transactional_id, reason, retry=retry) from error
        self._spent = None

    def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise RuntimeError("the step is not entered")
        return self._producer


def _fenced_while_it_ended(error: KafkaError) -> bool:
    """Whether Kafka was asked to end a transaction while it was writing down that another producer fences this one.

    Kafka 4.4 then answers "unknown server error", and logs "already a pending state PREPARE_EPOCH_FENCE".
    """
    return isinstance(error.__cause__, UnknownError)


async def _write(
    producer: AIOKafkaProducer, batches: Batches, records: Iterable[OutgoingRecord], positions: Iterable[Position]
) -> None:
    deliveries = await batches.send(records)
    for position in positions:
        place = {position.partition: OffsetAndMetadata(position.offset, position.metadata)}
        await asked_for(producer.send_offsets_to_transaction(place, position.group))
    for delivery in deliveries:
        await delivery  # raises what kept its records from being written
