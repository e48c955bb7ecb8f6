"""What a lane has read and what of it is still undecided: pure, and small enough to be committed with the offset.

The committed offset is the low-water mark: every arrival before it is decided. What lies between it and the frontier
(the next offset that was to be read) is decided too, but for the offsets that the offset's *metadata* names. So a
restart finds each arrival's standing in Kafka alone, however many were decided out of order.

Only undecided offsets are named, by the gaps between them: what a commit costs grows with the arrivals that wait, not
with how many were decided past them. Kafka takes 4096 bytes of metadata (`offset.metadata.max.bytes`).
"""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Self

from farshore.errors import FarshoreError, RetryClass

MAX_METADATA_CHARACTERS = 4096
MAX_WAITING = 1000
"""Most arrivals that one lane keeps undecided; a lane that has nearly so many stops reading."""
MIN_ROOM = 50
"""A lane with room for fewer arrivals is not read: tiny batches would slow the other lanes of the group."""
_VERSION = "1:"
_MAX_BYTES = (MAX_METADATA_CHARACTERS - len(_VERSION)) // 4 * 3 - 8  # base64; 8 bytes are kept for the span
_LONGEST_GAP = 5
"""Bytes that the gap to one more offset can need: gaps below 2^34 fit."""


class Standing(Enum):
    """What is known of an offset when its record is read."""

    NEW = "new"
    WAITING = "waiting"
    """Read before, by this owner or an earlier one, and not decided yet."""
    WAITING_LATE = "waiting, already said to be late"
    DECIDED = "decided"


class MalformedMetadataError(FarshoreError):
    """Metadata of a committed offset that no verifier wrote, or a newer one."""

    def __init__(self, metadata: str) -> None:
        super().__init__(
            "restore",
            "committed offset",
            f"its metadata {metadata[:40]!r} can't be read",
            retry=RetryClass.OPERATOR,
            hint="it was written by a newer verifier or by hand; commit the offset again without metadata to reset it",
        )


@dataclass(frozen=True, slots=True)
class Mark:
    """What is committed: an offset and the metadata beside it."""

    offset: int
    metadata: str


class Window:
    """The undecided offsets of one lane, in order, and the frontier behind which every other offset is decided."""

    def __init__(self, start: int) -> None:
        self._frontier = start
        self._waiting: dict[int, bool] = {}  # in the order of offsets; the value says whether LATE was published
        self._unread: set[int] = set()  # waiting offsets of an earlier owner, whose records are still to be read

    @classmethod
    def restore(cls, mark: Mark) -> Self:
        """The window that was committed as `mark`; raises MalformedMetadataError."""
        window = cls(mark.offset)
        if not mark.metadata:
            return window
        numbers = _decode(mark.metadata)
        window._frontier = mark.offset + next(numbers)
        offset = mark.offset
        for number in numbers:
            offset += number >> 1
            window._waiting[offset] = bool(number & 1)
        if any(waiting >= window._frontier for waiting in window._waiting):
            raise MalformedMetadataError(mark.metadata)
        window._unread = set(window._waiting)
        return window

    @property
    def low(self) -> int:
        """Every offset before this one is decided."""
        return next(iter(self._waiting), self._frontier)

    @property
    def waiting(self) -> int:
        """How many arrivals are undecided."""
        return len(self._waiting)

    def standing(self, offset: int) -> Standing:
        """What is known of `offset`, whose record has just been read."""
        if offset >= self._frontier:
            return Standing.NEW
        late = self._waiting.get(offset)
        if late is None:
            return Standing.DECIDED
        return Standing.WAITING_LATE if late else Standing.WAITING

    def wait_for(self, offset: int) -> None:
        """The record at `offset` concerns this lane and is to be decided."""
        self._unread.discard(offset)
        if offset >= self._frontier:
            self._waiting[offset] = False
            self._frontier = offset + 1

    def read_to(self, offset: int) -> list[int]:
        """All records before `offset` have been read.

        Returns the offsets that an earlier owner left undecided and whose records Kafka no longer has; they count as
        decided, for nobody can decide them any more.
        """
        self._frontier = max(self._frontier, offset)
        vanished = self.vanished_before(offset)
        for gone in vanished:
            self._unread.discard(gone)
            del self._waiting[gone]
        return vanished

    def vanished_before(self, offset: int) -> list[int]:
        """What `read_to(offset)` would return."""
        return sorted(waiting for waiting in self._unread if waiting < offset)

    def say_late(self, offset: int) -> None:
        """LATE is published for `offset` in the transaction that commits this window."""
        if offset in self._waiting:
            self._waiting[offset] = True

    def decide(self, offset: int) -> None:
        """The arrival at `offset` is decided in the transaction that commits this window."""
        del self._waiting[offset]

    def conclude(self, conclusions: Iterable[tuple[int, bool]]) -> Mark:
        """What to commit with the records of `conclusions`: offsets, and whether each is final or only late."""
        for offset, final in conclusions:
            if final:
                self.decide(offset)
            else:
                self.say_late(offset)
        return self.mark()

    def room(self) -> int:
        """How many records may be read; 0 while the lane is full, never more waiting ones than the metadata can name.

        What an earlier owner left has its place already and is always read: only then can it be decided and make room.
        """
        by_size = (_MAX_BYTES - sum(_length(number) for number in self._gaps())) // _LONGEST_GAP
        free = max(0, min(MAX_WAITING - len(self._waiting), by_size))
        if self._unread:
            return free + len(self._unread)
        return free if free >= MIN_ROOM else 0

    def mark(self) -> Mark:
        """What to commit."""
        if not self._waiting:
            return Mark(self._frontier, "")
        return Mark(self.low, _encode([self._frontier - self.low, *self._gaps()]))

    def _gaps(self) -> Iterator[int]:
        """Each waiting offset as its distance from the one before, doubled, plus one where LATE was published."""
        previous = self.low
        for offset, late in self._waiting.items():
            yield (offset - previous) << 1 | late
            previous = offset


def _length(number: int) -> int:
    return max(1, -(-number.bit_length() // 7))


def _encode(numbers: list[int]) -> str:
    """Little-endian base-128 numbers, the high bit meaning "more", in unpadded base64."""
    encoded = bytearray()
    for number in numbers:
        rest = number
        while rest >= 0x80:
            encoded.append(rest & 0x7F | 0x80)
            rest >>= 7
        encoded.append(rest)
    return _VERSION + base64.b64encode(encoded).decode().rstrip("=")


def _decode(metadata: str) -> Iterator[int]:
    text = metadata.removeprefix(_VERSION)
    if text == metadata or not text:
        raise MalformedMetadataError(metadata)
    try:
        encoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as error:
        raise MalformedMetadataError(metadata) from error
    if not encoded or encoded[-1] & 0x80:
        raise MalformedMetadataError(metadata)
    number = shift = 0
    for byte in encoded:
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            yield number
            number = shift = 0
