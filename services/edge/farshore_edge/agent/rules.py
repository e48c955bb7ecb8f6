"""Keeps nginx at the rules of the topology file: read, render, check, put in place, reload, make sure."""

import hashlib
import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from farshore.errors import ConfigurationError
from farshore.telemetry import event
from farshore.topology import Topology, load_topology
from farshore_edge.agent import metrics
from farshore_edge.agent.decide import Seen, Step, Tried, next_step
from farshore_edge.agent.nginx import Nginx
from farshore_edge.render import digest_of_rules, render
from farshore_edge.runtime import Runtime

log = logging.getLogger(__name__)


class Rules:
    """The rules of one edge. A topology that can't be used, or that nginx refuses, leaves the rules as they are."""

    def __init__(self, site: str, topology_file: Path, config: Path, runtime: Runtime, nginx: Nginx) -> None:
        """Raises ConfigurationError where the topology file is wrong already, or has no edge at `site`."""
        self.site = site
        self.topology_file = topology_file
        self.running: str | None = None
        """The digest of the rules that nginx runs; None while it doesn't answer."""
        self.running_since: datetime | None = None
        self.trouble: dict[str, str] = {}
        """What is wrong with the `topology`, and what `nginx` refuses: one line each."""
        self._config = config.absolute()  # nginx reads other paths from its own prefix
        self._runtime = runtime
        self._nginx = nginx
        self._read = self._seen = _content(topology_file)
        self._tried: Tried | None = None
        self._outdated = False
        self._use(load_topology(topology_file))

    @property
    def in_force(self) -> bool:
        """Whether nginx runs the rules that the topology file asks for."""
        return self.running == self.wanted and "topology" not in self.trouble

    @property
    def topology_digest(self) -> str:
        """Of the topology file as it was read last, usable or not."""
        return f"sha256:{hashlib.sha256(self._read or b'').hexdigest()}"

    def _use(self, topology: Topology) -> None:
        text = render(topology, self.site, self._runtime)
        self.topology, self._text, self.wanted = topology, text, digest_of_rules(text)

    async def look(self, now: float) -> None:
        """Do what is to be done next. `now`: seconds of a monotonic clock."""
        self._follow_topology()
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
                self._over("nginx")
        self._count_outdated()

    def _follow_topology(self) -> None:
        content = _content(self.topology_file)
        settled, self._seen = content == self._seen, content  # an editor may be in the middle of it
        if content == self._read or not settled:
            return
        self._read = content
        try:
            self._use(load_topology(self.topology_file))
        except ConfigurationError as error:
            metrics.refused.add(1, {"reason": "topology"})
            self._wrong("topology", str(error))
        else:
            self._over("topology")

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
            self._wrong("nginx", f"write {draft}: {error.strerror}")
            return
        refusal = await self._nginx.refusal_of(draft)
        if refusal is not None:
            metrics.refused.add(1, {"reason": "nginx"})
            self._wrong("nginx", f"it refuses the rules: {refusal}")
            return
        draft.replace(self._config)
        metrics.placed.add(1)
        event(log, logging.INFO, "rules put in place", rules=self.wanted, file=str(self._config))
        self._tried = None

    async def _reload(self, *, again: bool) -> None:
        failure = await self._nginx.reload()
        if failure is not None:
            self._wrong("nginx", f"it can't be reloaded: {failure}")
            return
        metrics.reloads.add(1)
        if again:
            self._wrong("nginx", "it was reloaded and doesn't run the rules: its error log says why")

    def _wrong(self, place: str, reason: str) -> None:
        """Note it; said once, however often the same is found again."""
        if self.trouble.get(place) != reason:
            event(log, logging.ERROR, "trouble: the rules stay as they are", place=place, reason=reason)
        self.trouble[place] = reason

    def _over(self, place: str) -> None:
        if self.trouble.pop(place, None) is not None:
            event(log, logging.INFO, "trouble over", place=place)

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
