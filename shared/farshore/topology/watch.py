"""Follows the topology file: takes up what it says once that stands still and can be used, and tells why it can't."""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

from prometheus_client import Gauge

from farshore.errors import ConfigurationError
from farshore.telemetry import event
from farshore.topology.file import TopologyError, load_topology, parse_content, read_content
from farshore.topology.model import Topology

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""From one look at the file to the next."""

_refused = Gauge(  # by prometheus_client itself: the receiver's workers have no other metrics
    "farshore_topology_refused",
    "1 while what the topology file says can't be used, and what it said before stays in force",
    multiprocess_mode="livemax",
)


class TopologyWatch:
    """`topology` is what the file said last that can be used: whatever it says later, a running service runs on."""

    def __init__(self, path: Path, accept: Callable[[Topology], object]) -> None:
        """`accept` is called with a changed topology, and refuses it by ConfigurationError: a secret may be missing.

        Reads the first topology, which `accept` isn't asked about; raises TopologyError where it is wrong.
        """
        self.path = path
        self._accept = accept
        content = read_content(path)
        self.topology = parse_content(content, str(path))
        self.refusal: str | None = None
        """Why what the file says now can't be used."""
        self._seen: bytes | None = content
        self._read: bytes | None = content
        self._waiting: Topology | None = None

    @property
    def digest(self) -> str:
        """Of the content that was considered last, usable or not."""
        return f"sha256:{hashlib.sha256(self._read or b'').hexdigest()}"

    def look(self) -> Topology | None:
        """Look once. Returns the topology if it is another one from now on.

        Only what the file says in two looks in a row counts: an editor may be in the middle of it. What was not
        accepted is tried again at each look: a secret may come after the file that names it.
        """
        content = self._content()
        settled, self._seen = content == self._seen, content
        if settled and content != self._read:
            self._read = content
            self._waiting = self._parsed(content)
        return self._taken_up(self._waiting) if self._waiting else None

    async def changed(self, *, look_seconds: float = LOOK_SECONDS) -> Topology:
        """Look until there is another topology."""
        while True:
            if (found := self.look()) is not None:
                return found
            await asyncio.sleep(look_seconds)

    def _content(self) -> bytes | None:
        """None where it can't be read."""
        try:
            return read_content(self.path)
        except TopologyError:
            return None

    def _parsed(self, content: bytes | None) -> Topology | None:
        try:
            return load_topology(self.path) if content is None else parse_content(content, str(self.path))
        except TopologyError as error:
            self._refuse(error)
            return None

    def _taken_up(self, found: Topology) -> Topology | None:
        same = found == self.topology
        try:
            if not same:
                self._accept(found)
        except ConfigurationError as error:
            self._refuse(error)
            return None
        self._waiting = None
        if self.refusal is not None:
            self.refusal = None
            _refused.set(0)
            event(log, logging.INFO, "the topology can be used again", file=str(self.path))
        self.topology = found
        return None if same else found

    def _refuse(self, error: ConfigurationError) -> None:
        """Said once, however often the same is found again."""
        if self.refusal != str(error):
            event(log, logging.ERROR, "topology refused, the old one stays in force", reason=str(error))
        self.refusal = str(error)
        _refused.set(1)
