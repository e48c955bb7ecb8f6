"""Looks at everything that a move depends on; changes nothing."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from farshore.bus.clients import Bus
from farshore.bus.committed import committed_positions, offsets_in
from farshore.ontap import OntapCluster, OntapError
from farshore.records.readiness import GIVEN_UP
from farshore.topology import Place, Topology
from farshore_cli.applying.facts import Unseen
from farshore_cli.applying.observe import usable_peers
from farshore_cli.applying.plan import OURS
from farshore_cli.moving.ask import Asker
from farshore_cli.moving.facts import Copy, Decided, EdgeSeen, Hold, LogSeen, MoveFacts
from farshore_cli.moving.holds import HoldFiles
from farshore_cli.moving.log import MoveLog
from farshore_cli.moving.loss import Loss, Window
from farshore_cli.moving.plan import Intent, is_switched, latest_mark
from farshore_cli.moving.there import ask_for
from farshore_coalescer.snapshot_names import Log as SnapshotLog
from farshore_reconciler.knowledge import Knowledge
from farshore_reconciler.read_log import LogReader


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Observer:
    """Looks for one registry; all that it is given is entered."""

    bus: Bus
    clusters: Mapping[str, OntapCluster]
    asker: Asker
    holds: HoldFiles
    log: MoveLog
    reader: LogReader
    knowledge: Knowledge
    fences: tuple[str, ...] = ()
    promoted: bool = False
    """Whether the target's registry was made to take writes meanwhile."""
    now: Callable[[], datetime] = _now
    _names: dict[str, str] = field(default_factory=dict)

    async def look(self, topology: Topology, intent: Intent) -> MoveFacts:
        """Everything at this moment. Raises FarshoreError or one of KAFKA_FAILURES where Kafka or a hold file fails."""
        entry = topology.registries[intent.registry]
        switched = is_switched(topology, intent)
        # the hold files first: what the edges answer is then not older than they are
        holds = self._read_holds(topology)
        copies, edges, accepts = await asyncio.gather(
            self._copies([entry.primary, *entry.replicas]),
            self._edges(topology, intent.registry),
            self.asker.takes_writes(_target(topology, intent), entry.prefix),
        )
        log = await self.log.read(self.fences)
        decided = None if switched else await self._decided(intent, log.end)
        positions: dict[str, int] = {}
        if switched and not any(holds.values()):
            positions = await self._positions(topology, intent.registry, log.incarnation)
        loss = await self._loss(topology, intent, log, copies)
        return MoveFacts(self.now(), copies, edges, holds, log, decided, positions, accepts, loss, self.promoted)

    async def _loss(
        self, topology: Topology, intent: Intent, log: LogSeen, copies: Mapping[str, Copy | Unseen]
    ) -> Loss | None:
        """What the target lacks, in a forced move; its registry is asked until the primary has moved."""
        mark = latest_mark(topology, intent, log)
        if not (intent.force or (mark is not None and mark.record.forced)):
            return None
        switched = is_switched(topology, intent)
        if mark is not None and mark.record.forced and mark.record.cover is not None:
            cover = mark.record.cover
        elif switched:
            return None
        else:
            cover = await self.cover(topology, intent, log, copies)
        events, complete = await self.log.events(cover, log.end)
        window = Window(mark.record.move if mark is not None and mark.record.forced else "")
        window.take(events)
        place = _target(topology, intent)
        there = {} if switched else await ask_for(place, window.to_ask)
        return Loss(cover, log.end, window.events, window.lost(there), complete)

    async def cover(self, topology: Topology, intent: Intent, log: LogSeen, copies: Mapping[str, Copy | Unseen]) -> int:
        """Up to where everything that was announced is at the target: as the snapshot that it shows says by its name,
        or as its arrivals say, which followed from proofs."""
        copy = copies[intent.target]
        shown = copy.exported[0] if isinstance(copy, Copy) and copy.exported else ""
        named = SnapshotLog(log.incarnation, log.partition).cover_of(shown) or 0
        positions = await self._positions(topology, intent.registry, log.incarnation)
        return max(named, positions.get(f"{intent.registry}.{intent.target}", 0))

    def _read_holds(self, topology: Topology) -> dict[str, Hold | None]:
        return {name: self.holds.read(name) for name, site in topology.sites.items() if site.edge is not None}

    async def _copies(self, places: list[Place]) -> dict[str, Copy | Unseen]:
        seen = await asyncio.gather(*(self._copy(place) for place in places))
        return {place.site: copy for place, copy in zip(places, seen, strict=True)}

    async def _copy(self, place: Place) -> Copy | Unseen:
        cluster = self.clusters[place.site]
        try:
            return await self._copy_seen(cluster, place.volume)
        except OntapError as error:
            return Unseen(f"{error.operation}: {error.reason}", error.hint)

    async def _copy_seen(self, cluster: OntapCluster, name: str) -> Copy:
        if cluster.site not in self._names:
            self._names[cluster.site] = (await cluster.info()).name
        volume, relationship, policy, peers = await asyncio.gather(
            cluster.volume(name),
            cluster.find_relationship(f"{cluster.settings.svm}:{name}"),
            cluster.policy(OURS),
            usable_peers(cluster),
        )
        snapshots = await cluster.list_snapshots(volume.uuid) if volume is not None else []
        versions = {snapshot.name: snapshot.version_uuid for snapshot in snapshots}
        shown = relationship.exported_snapshot if relationship is not None else None
        crossed = 0
        if relationship is not None and relationship.transferring:
            running = [one for one in await cluster.list_transfers(relationship.uuid) if one.active]
            crossed = max((one.bytes_transferred for one in running), default=0)
        return Copy(
            self._names[cluster.site],
            volume,
            relationship,
            (shown, versions[shown]) if shown in versions else None,
            versions,
            peers,
            policy is not None,
            crossed,
        )

    async def _edges(self, topology: Topology, registry: str) -> dict[str, EdgeSeen | Unseen]:
        edges = {name: site.edge for name, site in topology.sites.items() if site.edge is not None}
        seen = await asyncio.gather(*(self.asker.edge(name, edge, registry) for name, edge in edges.items()))
        return dict(zip(edges, seen, strict=True))

    async def _decided(self, intent: Intent, end: int) -> Decided:
        await self.reader.catch_up()
        undecided = self.knowledge.undecided(intent.registry, intent.target, end)
        failed = self.knowledge.last_said(intent.registry, intent.target, GIVEN_UP)
        return Decided(len(undecided), tuple(f"{name} ({state})" for name, state in failed))

    async def _positions(self, topology: Topology, registry: str, incarnation: str) -> dict[str, int]:
        groups = {one.consumer_group: one.name for one in topology.relationships(registry)}
        found = await committed_positions(self.bus, list(groups), self.log.partition)
        return {groups[group]: offset for group, offset in offsets_in(incarnation, found).items()}


def _target(topology: Topology, intent: Intent) -> Place:
    entry = topology.registries[intent.registry]
    return entry.replica(intent.target) or entry.primary
