"""Which events a replica is proved to hold, from what storage says alone.

A replica holds everything before a cover when the snapshot that it exports is the source's snapshot of that cover, with
the source's `version_uuid`. Nothing else proves anything:

- A snapshot of somebody else (an operator's update, a schedule) may be older or younger than one of ours. ONTAP gives
  creation times, in whole seconds of a clock that can be set back, and no order; that ours is at the destination too
  says nothing about what is exported: an interrupted transfer of several leaves those that came through beside an
  older exported one. Such a replica is brought to a snapshot of ours that was begun after the other one was seen
  there, and that is therefore the younger (decide.py).
- A snapshot that the source no longer has, or of another version, can't be told from one that a person named so.
"""

from collections.abc import Iterable

from farshore_coalescer.state import Snapshot, SnapshotId


def proven_cover(source: Iterable[Snapshot], exported: SnapshotId | None) -> int:
    """The cover that is proved to be exported; 0 where nothing is proved."""
    if exported is not None:
        for snapshot in source:
            if snapshot.id == exported:
                return snapshot.cover or 0
    return 0
