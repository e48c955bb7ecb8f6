"""Source snapshots carry the cursor in their names: `farshore-<incarnation>-<partition>-<cover>[-<again>]`.

`again` is there from the second snapshot of one cover on: one that is taken although nothing new was announced.

Whatever a replica exports therefore says by itself which events are there, and nothing has to be remembered over a
crash.
"""

import re
from dataclasses import dataclass

from farshore.records.arrivals import Generation

_NAME = re.compile(
    r"farshore-(?P<incarnation>[0-9a-f]{8})-(?P<partition>\d{1,6})-(?P<cover>\d{1,19})(-(?P<again>\d{1,9}))?"
)


@dataclass(frozen=True, slots=True)
class Log:
    """One partition of one incarnation of `farshore.events`: what offsets and covers are relative to."""

    incarnation: str
    partition: int

    def snapshot_name(self, cover: int, again: int = 0) -> str:
        """The name of the snapshot that holds everything announced before offset `cover`."""
        name = f"farshore-{self.incarnation}-{self.partition}-{cover}"
        return f"{name}-{again}" if again else name

    def cover_of(self, name: str) -> int | None:
        """The cover that `name` states, or None where it isn't one of this log's snapshots."""
        place = self.place_of(name)
        return place[0] if place is not None else None

    def place_of(self, name: str) -> tuple[int, int] | None:
        """Cover and `again` of one of this log's snapshots: how they follow one another."""
        match = _NAME.fullmatch(name)
        if match is None or match["incarnation"] != self.incarnation or int(match["partition"]) != self.partition:
            return None
        return int(match["cover"]), int(match["again"] or 0)


def generation_of(name: str) -> Generation | None:
    """The place in `farshore.events` before which one of farshore's snapshots has everything; None for another's."""
    match = _NAME.fullmatch(name)
    return Generation(match["incarnation"], int(match["partition"]), int(match["cover"])) if match else None


def is_ours(name: str) -> bool:
    """Whether farshore took the snapshot, for whichever log."""
    return _NAME.fullmatch(name) is not None
