"""A registry that lets nobody in: one of all who wait tries again at a time, the others wait for what it meets.

A thousand arrivals may wait for a registry that is down. Nothing is decided here: whoever is let in looks for itself,
and what it saw decides about it alone.
"""

import asyncio
from collections.abc import Callable

from farshore_verifier.outcome import Failed, Finding, pause_seconds

Entry = asyncio.Future[None]


class Door:
    """Closed by a look that found the registry, not the content, in trouble; opened by the first that finds it well.

    While it is closed one after the other is let in: first after 50 ms, then ever more rarely, up to every 10 s.
    `chance` gives [0, 1).
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._tries = 0
        """Since it was closed; 0 while it is open."""
        self._next_at = 0.0
        self._waiting: dict[Entry, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def wait(self) -> Entry | None:
        """What is done once the caller may look again; None while the door is open. To be given back by `leave`."""
        if not self._tries:
            return None
        entry = asyncio.get_running_loop().create_future()
        self._waiting[entry] = None
        self._set_timer()
        return entry

    def leave(self, entry: Entry) -> None:
        """Wait for it no longer."""
        self._waiting.pop(entry, None)

    def told(self, finding: Finding) -> None:
        """Take note of what a look found."""
        if isinstance(finding, Failed) and finding.of_registry:
            if not self._tries:
                self._close_for_a_while()
            return
        self._tries = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for entry in list(self._waiting):
            self._let_in(entry)

    def _close_for_a_while(self) -> None:
        self._tries += 1
        self._next_at = asyncio.get_running_loop().time() + pause_seconds(self._tries, self._chance())

    def _set_timer(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = asyncio.get_running_loop().call_at(self._next_at, self._let_one_in)

    def _let_one_in(self) -> None:
        self._timer = None
        self._close_for_a_while()
        if self._waiting:
            self._let_in(next(iter(self._waiting)))
        self._set_timer()

    def _let_in(self, entry: Entry) -> None:
        del self._waiting[entry]
        if not entry.done():
            entry.set_result(None)
