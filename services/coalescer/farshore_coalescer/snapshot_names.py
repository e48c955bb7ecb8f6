"""Source snapshots carry the cursor in their names: `farshore-<incarnation>-<partition>-<cover>-<number>-<owner>`.

Whatever a replica exports therefore says by itself which events are there, and nothing has to be remembered over a
crash. No name is ever given twice: transfers are asked for by name, and a request that is carried out late, of a
process that was taken over, must not find another snapshot than the one that was meant. So each owner of a lane has an
id of its own, and numbers what it takes.
"""

import re
from dataclasses import dataclass

from farshore.records.arrivals import Generation

_NAME = re.compile(
    r"farshore-(?P<incarnation>[0-9a-f]{8})-(?P<partition>\d{1,6})-(?P<cover>\d{1,19})-(?P<number>\d{1,19})-[0-9a-f]{8}"
)


@dataclass(frozen=True, slots=True)
class Log:
    """One partition of one incarnation of `farshore.events`: what offsets and covers are relative to."""

    incarnation: str
    partition: int

    def snapshot_name(self, cover: int, number: int, owner: str) -> str:
        """The name of the `number`th snapshot, which holds everything announced before offset `cover`.

        `owner`: 8 hexadecimal digits that stand for the process that takes it, since it began with this log.
        """
        return f"farshore-{self.incarnation}-{self.partition}-{cover}-{number}-{owner}"

    def cover_of(self, name: str) -> int | None:
        """The cover that `name` states, or None where it isn't one of this log's snapshots."""
        place = self.place_of(name)
        return place[0] if place is not None else None

    def place_of(self, name: str) -> tuple[int, int] | None:
        """Cover and number of one of this log's snapshots: how they follow one another."""
        match = _NAME.fullmatch(name)
        if match is None or match["incarnation"] != self.incarnation or int(match["partition"]) != self.partition:
            return None
        return int(match["cover"]), int(match["number"])


def generation_of(name: str) -> Generation | None:
    """The place in `farshore.events` before which one of farshore's snapshots has everything; None for another's."""
    match = _NAME.fullmatch(name)
    return Generation(match["incarnation"], int(match["partition"]), int(match["cover"])) if match else None


def is_ours(name: str) -> bool:
    """Whether farshore took the snapshot, for whichever log."""
    return _NAME.fullmatch(name) is not None
