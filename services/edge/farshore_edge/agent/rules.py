"""Keeps nginx at the rules of the topology file, and at the certificates that they name.

Read, render, check, put in place, reload, make sure.
"""

import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from farshore.telemetry import event
from farshore.topology import Topology
from farshore.topology.watch import TopologyWatch
from farshore_edge.agent import metrics
from farshore_edge.agent.decide import Seen, Step, Tried, next_step
from farshore_edge.agent.files import Files
from farshore_edge.agent.nginx import Nginx
from farshore_edge.render import digest_of_rules, files_read, render
from farshore_edge.runtime import Runtime

log = logging.getLogger(__name__)


class Rules:
    """The rules of one edge. A topology that can't be used, or that nginx refuses, leaves the rules as they are."""

    def __init__(self, site: str, topology_file: Path, config: Path, runtime: Runtime, nginx: Nginx) -> None:
        """Raises ConfigurationError where the topology file is wrong already, or has no edge at `site`."""
        self.site = site
        self.running: str | None = None
        """The digest of the rules that nginx runs; None while it doesn't answer."""
        self.running_since: datetime | None = None
        self.trouble: str | None = None
        """What nginx refuses."""
        self._config = config.absolute()  # nginx reads other paths from its own prefix
        self._runtime = runtime
        self._nginx = nginx
        self._tried: Tried | None = None
        self._outdated = False
        self._files = Files([])
        self.watch = TopologyWatch(topology_file, self._use)
        self._use(self.watch.topology)

    @property
    def in_force(self) -> bool:
        """Whether nginx runs the rules that the topology file asks for."""
        return self.running == self.wanted and self.watch.refusal is None

    @property
    def topology(self) -> Topology:
        """That the wanted rules are of."""
        return self.watch.topology

    def _use(self, topology: Topology) -> None:
        files = Files(files_read(topology, self.site, self._runtime))
        self._render(topology, files)
        self._files = files

    def _render(self, topology: Topology, files: Files) -> None:
        self._text = render(topology, self.site, self._runtime, files=files.digest)
        self.wanted = digest_of_rules(self._text)

    async def look(self, now: float) -> None:
        """Do what is to be done next. `now`: seconds of a monotonic clock."""
        self.watch.look()
        if self._files.changed():
            event(log, logging.INFO, "files of the rules have changed", site=self.site)
            self._render(self.topology, self._files)
        await self._ask_nginx()
        seen = Seen(self.wanted, _content(self._config) == self._text.encode(), self.running)
        before = self._tried
        match next_step(seen, before, now):
            case Step.PLACE:
                self._tried = Tried(Step.PLACE, self.wanted, now)
                await self._place()
            case Step.RELOAD:
                self._tried = Tried(Step.RELOAD, self.wanted, now)
                await self._reload(again=before is not None and before.step == Step.RELOAD)
            case None if self.running == self.wanted:
                self._tried = None
                self._over()
        self._count_outdated()

    async def _ask_nginx(self) -> None:
        running = await self._nginx.rules()
        if running != self.running:
            self.running, self.running_since = running, datetime.now(UTC)
            event(log, logging.INFO, "nginx runs other rules" if running else "nginx doesn't answer", rules=running)

    async def _place(self) -> None:
        draft = self._config.with_name(f".{self._config.name}.new")
        try:
            _write_to_disk(draft, self._text)
        except OSError as error:
            self._wrong(f"write {draft}: {error.strerror}")
            return
        refusal = await self._nginx.refusal_of(draft)
        if refusal is not None:
            metrics.refused.add(1)
            self._wrong(f"it refuses the rules: {refusal}")
            return
        draft.replace(self._config)
        metrics.placed.add(1)
        event(log, logging.INFO, "rules put in place", rules=self.wanted, file=str(self._config))
        self._tried = None

    async def _reload(self, *, again: bool) -> None:
        failure = await self._nginx.reload()
        if failure is not None:
            self._wrong(f"it can't be reloaded: {failure}")
            return
        metrics.reloads.add(1)
        if again:
            self._wrong("it was reloaded and doesn't run the rules: its error log says why")

    def _wrong(self, reason: str) -> None:
        """Note it; said once, however often the same is found again."""
        if self.trouble != reason:
            event(log, logging.ERROR, "trouble with nginx: the rules stay as they are", reason=reason)
        self.trouble = reason

    def _over(self) -> None:
        if self.trouble is not None:
            event(log, logging.INFO, "trouble with nginx over")
        self.trouble = None

    def _count_outdated(self) -> None:
        if self._outdated == self.in_force:
            self._outdated = not self.in_force
            metrics.outdated.add(1 if self._outdated else -1)


def _content(file: Path) -> bytes | None:
    """None where it can't be read; whoever needs it says why."""
    try:
        return file.read_bytes()
    except OSError:
        return None


def _write_to_disk(file: Path, text: str) -> None:
    """So that what replaces nginx's file is whole, even after a power cut."""
    with file.open("w", encoding="utf-8") as draft:
        draft.write(text)
        draft.flush()
        os.fsync(draft.fileno())
