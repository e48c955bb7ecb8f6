"""Notices that the topology file says something else."""

import asyncio
import logging
from pathlib import Path

from farshore.telemetry import event
from farshore.topology.file import TopologyError, load_topology
from farshore.topology.model import Topology

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""From one look at the file to the next."""


class TopologyWatch:
    """`topology` is what the file said last; a file that can't be used leaves it so, and is complained about once."""

    def __init__(self, path: Path, topology: Topology, *, look_seconds: float = LOOK_SECONDS) -> None:
        self.topology = topology
        self._path = path
        self._look_seconds = look_seconds
        self.read: bytes | None = None
        """The file's content that was considered last."""

    async def changed(self) -> Topology:
        """Return once the file says something else in two looks in a row: an editor may be in the middle of it."""
        last = self.read
        while True:
            content = self._content()
            if content is not None and content == last and content != self.read:
                self.read = content
                if (found := self._parsed()) is not None and found != self.topology:
                    self.topology = found
                    return found
            last = content
            await asyncio.sleep(self._look_seconds)

    def _parsed(self) -> Topology | None:
        try:
            return load_topology(self._path)
        except TopologyError as error:
            event(log, logging.ERROR, "topology refused, the old one stays in force", reason=str(error))
            return None

    def _content(self) -> bytes | None:
        """None while it can't be read: it may be about to be replaced."""
        try:
            return self._path.read_bytes()
        except OSError:
            return None
