"""Tells an event that is in the log twice: a registry sends a notification again when it didn't see the answer.

What counts as twice is decided by the log alone: the same id less than `WINDOW` offsets before. So every instance,
before and after a crash, comes to the same answer.
"""

from collections import deque

WINDOW = 4096
"""Offsets to look back: a registry repeats itself within seconds, with other registries' events in between."""


class Recent:
    """The ids of the events before a position, fed in the log's order."""

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._order: deque[tuple[int, bytes]] = deque()
        self._newest: dict[bytes, int] = {}

    def is_repeated(self, offset: int, event_id: bytes) -> bool:
        """Take in the next event; whether the window before it holds the same id."""
        while self._order and self._order[0][0] < offset - self._window:
            oldest, gone = self._order.popleft()
            if self._newest[gone] == oldest:
                del self._newest[gone]
        repeated = event_id in self._newest
        self._order.append((offset, event_id))
        self._newest[event_id] = offset
        return repeated
