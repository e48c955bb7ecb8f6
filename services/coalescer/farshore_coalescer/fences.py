"""Fences as the decisions know them, and which snapshots one makes unusable. Pure.

A fence stands in the log among the events: raised at an offset, lifted at a later one, or over when its limit has
passed on this process's clock. While one holds, no snapshot is taken. The rest rests on one rule:

    A snapshot of cover C is *clean* when the log, read after the snapshot was there, holds no fence raised at C or
    behind it.

Whoever took it had read the log up to C at least, and so had found every fence before C over; and none behind C was in
the log when it was done. So it shows no moment inside a fence, whoever took it: this lane, one whose reply was lost, or
a former owner that doesn't know yet that it is one. Only clean snapshots set out. And a snapshot of a higher cover says
that a fence is over: a restart doesn't begin its limit again.
"""

from collections.abc import Iterable
from typing import NamedTuple


class Raised(NamedTuple):
    """A record that raised a fence. `seen_at`: when this process read it, in seconds of its own clock."""

    offset: int
    fence: str
    limit: float
    reason: str = ""
    seen_at: float = 0.0


class Lifted(NamedTuple):
    """A record that lifted a fence."""

    offset: int
    fence: str


Change = Raised | Lifted


class Fences(NamedTuple):
    """What is known of the log's fences: all those in [read_from, read_to).

    `read_from` is None until what came before this process was read; what comes since, it is told.
    """

    raised: tuple[Raised, ...] = ()
    lifted: tuple[Lifted, ...] = ()
    read_from: int | None = None
    read_to: int = 0

    def with_changes(self, changes: Iterable[Change], now: float) -> "Fences":
        """With what was read; what was known before keeps its time."""
        raised = {fence.offset: fence for fence in self.raised}
        lifted = {fence.offset: fence for fence in self.lifted}
        for change in changes:
            if isinstance(change, Lifted):
                lifted[change.offset] = change
            elif change.offset not in raised:
                raised[change.offset] = change._replace(seen_at=now)
        return self._replace(
            raised=tuple(sorted(raised.values())),
            lifted=tuple(sorted(lifted.values())),
        )

    def forgetting(self, before: int) -> "Fences":
        """Without what no decision rests on any more: a clean snapshot covers it."""
        if self.read_from is None or before <= self.read_from:
            return self
        return self._replace(
            raised=tuple(fence for fence in self.raised if fence.offset >= before),
            lifted=tuple(fence for fence in self.lifted if fence.offset >= before),
            read_from=before,
        )

    def is_lifted(self, fence: Raised) -> bool:
        """Whether a later record lifted it."""
        return any(other.fence == fence.fence and other.offset > fence.offset for other in self.lifted)

    def holding(self, covered: int, now: float) -> tuple[Raised, ...]:
        """The fences that hold; `covered` is the highest cover of any snapshot."""
        return tuple(
            fence
            for fence in self.raised
            if fence.offset >= covered and now < fence.seen_at + fence.limit and not self.is_lifted(fence)
        )

    def touch(self, cover: int, end: int | None = None) -> bool:
        """Whether a fence was raised at `cover` or behind it, and before `end`."""
        raised = self.raised
        return bool(raised) and any(fence.offset >= cover and (end is None or fence.offset < end) for fence in raised)
