"""From a topology and what was seen to the calls that are still to be made. Pure.

Rules:

- Only what is missing is made, and only settings that cost no data are changed: storage efficiency that is off, a
  missing junction path, network compression of farshore's own policy, farshore's own EMS destination.
- Never touched: type and size of a volume that exists, a junction path at another place, a relationship's source, and
  a relationship that is paused or broken off: the call that resumes it would discard what only the replica has.
- A plan looks at the world alone, not at earlier plans. Whatever ended the last run, the next one goes on from there.
"""

from collections.abc import Iterator
from typing import Any

from farshore.ontap.model import Relationship as OntapRelationship
from farshore.ontap.model import RelationshipState, Volume
from farshore.topology.model import Place, Relationship, Topology
from farshore_cli.applying.facts import SiteFacts, Unseen, World
from farshore_cli.applying.steps import Baseline, Consequence, Difference, Kind, Plan, Step

OURS = "farshore"
"""Name of the policy in each SVM with replicas, and of the EMS destination of each cluster that has one."""

Item = Step | Baseline | Difference


def plan(topology: Topology, world: World, volume_bytes: int) -> Plan:
    """What is between `world` and `topology`; a volume that is made gets `volume_bytes`, thin."""
    items = list(_Planner(topology, world, volume_bytes).items())
    return Plan(
        tuple(one for one in items if isinstance(one, Step)),
        tuple(one for one in items if isinstance(one, Baseline)),
        tuple(one for one in items if isinstance(one, Difference)),
    )


def upstream_first(topology: Topology) -> list[Relationship]:
    """All relationships of the topology, each behind the one that fills its source."""
    return [one for hop in topology.relationships_by_hop() for one in hop]


def new_policy(site: str, svm: str) -> Step:
    """The call that makes farshore's policy in an SVM with replicas."""
    body = {
        "name": OURS,
        "svm": {"name": svm},
        "type": "async",
        "network_compression_enabled": True,
        "copy_all_source_snapshots": True,
    }
    words = f"make the asynchronous policy {OURS} in {svm}, compressing on the network"
    return Step(site, Kind.CREATE_POLICY, f"policy {OURS} of {svm}", words, "POST", "/snapmirror/policies", body)


class _Planner:
    def __init__(self, topology: Topology, world: World, volume_bytes: int) -> None:
        self._topology = topology
        self._world = world
        self._bytes = volume_bytes

    def items(self) -> Iterator[Item]:
        for site, seen in self._world.items():
            if isinstance(seen, Unseen):
                yield Difference(site, f"cluster of {site}", seen.reason, Consequence.UNKNOWN, seen.hint)
            else:
                yield from self._events(site, seen)
        for registry in self._topology.registries.values():
            yield from self._primary(registry.primary)
        relationships = upstream_first(self._topology)
        for site in dict.fromkeys(one.site for one in relationships):
            if (facts := self._seen(site)) is not None:
                yield from self._policy(site, facts)
        for one in relationships:
            if (facts := self._seen(one.site)) is not None:
                yield from self._replica(one, facts)

    def _seen(self, site: str) -> SiteFacts | None:
        seen = self._world[site]
        return None if isinstance(seen, Unseen) else seen

    def _path(self, site: str, volume: str) -> str:
        return f"{self._topology.sites[site].ontap.svm}:{volume}"

    def _events(self, site: str, facts: SiteFacts) -> Iterator[Item]:
        wanted = self._topology.sites[site].ontap.ems
        if wanted is None:
            return
        subject = f"EMS destination {OURS} of {facts.cluster}"
        body: dict[str, Any] = {"destination": wanted.url, "filters": [{"name": name} for name in wanted.filters]}
        if facts.events is None:
            body = {"name": OURS, "type": "rest_api", **body}
            words = f"have the cluster post its events to {wanted.url}"
            yield Step(site, Kind.CREATE_EVENTS, subject, words, "POST", "/support/ems/destinations", body)
        elif (facts.events.url, set(facts.events.filters)) != (wanted.url, set(wanted.filters)):
            found = f"it posts {', '.join(facts.events.filters) or 'nothing'} to {facts.events.url}"
            yield Difference(site, subject, found, Consequence.CHANGED)
            words = f"have the cluster post {', '.join(wanted.filters)} to {wanted.url}"
            yield Step(site, Kind.CHANGE_EVENTS, subject, words, "PATCH", f"/support/ems/destinations/{OURS}", body)

    def _primary(self, place: Place) -> Iterator[Item]:
        site, facts = place.site, self._seen(place.site)
        if facts is None:
            return
        path, volume = self._path(site, place.volume), facts.volumes.get(place.volume)
        if volume is None:
            extra = {"nas": {"path": f"/{place.volume}"}, "efficiency": {"dedupe": "both", "compression": "both"}}
            yield self._new_volume(site, facts, place.volume, "rw", extra)
            return
        if problem := _unfit(volume, "rw"):
            yield Difference(site, f"volume {path}", *problem)
            return
        yield from self._efficiency(site, path, volume)
        yield from self._mount(site, place.volume, volume)

    def _new_volume(self, site: str, facts: SiteFacts, name: str, kind: str, extra: dict[str, Any]) -> Item:
        path = self._path(site, name)
        if facts.aggregate is None:
            found = "it isn't there, and the SVM has no aggregate that is online"
            return Difference(site, f"volume {path}", found, Consequence.BLOCKED, "assign an aggregate to the SVM")
        body = {
            "name": name,
            "svm": {"name": self._topology.sites[site].ontap.svm},
            "aggregates": [{"name": facts.aggregate}],
            "type": kind,
            "size": self._bytes,
            "guarantee": {"type": "none"},
            "snapshot_policy": {"name": "none"},
            **extra,
        }
        what = "writable, deduplicated, compressed" if kind == "rw" else "a SnapMirror destination"
        words = f"make the volume {path}, {what}, thin, in {facts.aggregate}"
        return Step(site, Kind.CREATE_VOLUME, f"volume {path}", words, "POST", "/storage/volumes", body)

    def _efficiency(self, site: str, path: str, volume: Volume) -> Iterator[Item]:
        found = {"dedupe": volume.dedupe, "compression": volume.compression}
        off = [name for name, value in found.items() if value == "none"]
        if off:
            yield Difference(site, f"volume {path}", f"{' and '.join(off)} off", Consequence.CHANGED)
            body = {"efficiency": dict.fromkeys(off, "both")}
            words = f"turn on {' and '.join(off)} of {path}"
            target = f"/storage/volumes/{volume.uuid}"
            yield Step(site, Kind.CHANGE_VOLUME, f"volume {path}", words, "PATCH", target, body)

    def _mount(self, site: str, name: str, volume: Volume | None, waits: str = "") -> Iterator[Item]:
        path, junction = self._path(site, name), f"/{name}"
        if volume is not None and volume.junction_path == junction:
            return
        if volume is not None and volume.junction_path:
            found = f"it is mounted at {volume.junction_path}, not at {junction}"
            yield Difference(site, f"volume {path}", found, Consequence.LEFT, "moving it would cut its clients off")
            return
        target = f"/storage/volumes/{volume.uuid if volume else f'<uuid of {path}>'}"
        words = f"mount {path} at {junction}"
        body = {"nas": {"path": junction}}
        yield Step(site, Kind.MOUNT_VOLUME, f"volume {path}", words, "PATCH", target, body, waits)

    def _policy(self, site: str, facts: SiteFacts) -> Iterator[Item]:
        svm = self._topology.sites[site].ontap.svm
        subject = f"policy {OURS} of {svm}"
        if facts.policy is None:
            yield new_policy(site, svm)
            return
        if not facts.policy.copy_all_source_snapshots:
            hint = "this can't be changed: delete the policy, or rename it"
            yield Difference(site, subject, "it doesn't copy all source snapshots", Consequence.BLOCKED, hint)
        if not facts.policy.network_compression:
            yield Difference(site, subject, "network compression is off", Consequence.CHANGED)
            words = f"turn on network compression of the policy {OURS} in {svm}"
            target = f"/snapmirror/policies/{facts.policy.uuid}"
            body = {"network_compression_enabled": True}
            yield Step(site, Kind.CHANGE_POLICY, subject, words, "PATCH", target, body)

    def _replica(self, one: Relationship, facts: SiteFacts) -> Iterator[Item]:
        path, volume = self._path(one.site, one.volume), facts.volumes.get(one.volume)
        relationship = facts.relationships.get(one.volume)
        if relationship is not None and (problem := self._wrong(one, relationship)):
            yield Difference(one.site, f"relationship {one.name}", *problem)
            return
        if volume is None:
            yield self._new_volume(one.site, facts, one.volume, "dp", {})
        elif problem := _unfit(volume, "dp"):
            yield Difference(one.site, f"volume {path}", *problem)
            return
        if relationship is None:
            yield from self._new_relationship(one, facts)
        elif relationship.established:
            if not relationship.healthy:
                why = "; ".join(relationship.unhealthy_reasons) or "it isn't healthy"
                yield Difference(one.site, f"relationship {one.name}", why, Consequence.LEFT, "see snapmirror show")
            if relationship.policy not in (None, OURS):
                found = f"its policy is {relationship.policy}, not {OURS}"
                yield Difference(one.site, f"relationship {one.name}", found, Consequence.LEFT)
        elif relationship.transferring:
            yield Baseline(one.name, facts.transferred.get(one.volume, 0), self._expected(one))
        else:
            yield self._initialise(one, relationship.uuid)
        established = relationship is not None and relationship.established
        yield from self._mount(one.site, one.volume, volume, "" if established else f"the baseline of {one.name}")

    def _wrong(self, one: Relationship, found: OntapRelationship) -> tuple[str, Consequence, str] | None:
        wanted = self._path(one.source_site, one.source_volume)
        peer = self._seen(one.source_site)
        hint = "correct the topology, or delete that relationship"
        if found.source_path != wanted:
            return f"its source is {found.source_path}, not {wanted}", Consequence.BLOCKED, hint
        if peer is not None and found.source_cluster not in (None, peer.cluster):
            return f"its source is at {found.source_cluster}, not at {peer.cluster}", Consequence.BLOCKED, hint
        if not found.established and found.state is not RelationshipState.UNINITIALIZED:
            hint = "resume it, or resync it if what only the replica has may be lost"
            return f"it is {found.state}", Consequence.BLOCKED, hint
        return None

    def _new_relationship(self, one: Relationship, facts: SiteFacts) -> Iterator[Item]:
        source, destination = self._path(one.source_site, one.source_volume), self._path(one.site, one.volume)
        peer = self._seen(one.source_site)
        body: dict[str, Any] = {
            "source": {"path": source},
            "destination": {"path": destination},
            "policy": {"name": OURS},
        }
        if peer is not None and peer.cluster != facts.cluster:
            body["source"]["cluster"] = {"name": peer.cluster}
            svm = self._topology.sites[one.source_site].ontap.svm
            if (peer.cluster, svm) not in facts.peers:
                found = f"{svm} of {peer.cluster} isn't peered for SnapMirror, or can't be reached"
                hint = "cluster peer create and vserver peer create -applications snapmirror, on both sides"
                yield Difference(one.site, f"peering with {one.source_site}", found, Consequence.BLOCKED, hint)
                return
        words = f"make the relationship {one.name}: {source} to {destination}"
        yield Step(
            one.site,
            Kind.CREATE_RELATIONSHIP,
            f"relationship {one.name}",
            words,
            "POST",
            "/snapmirror/relationships",
            body,
            self._lacking(one, facts),
        )
        yield self._initialise(one, None)

    def _initialise(self, one: Relationship, uuid: str | None) -> Step:
        target = f"/snapmirror/relationships/{uuid or f'<uuid of {one.name}>'}"
        return Step(
            one.site,
            Kind.INITIALISE,
            f"relationship {one.name}",
            f"begin the baseline of {one.name}",
            "PATCH",
            target,
            {"state": "snapmirrored"},
            "" if uuid else f"relationship {one.name}",
        )

    def _lacking(self, one: Relationship, facts: SiteFacts) -> str:
        """What a relationship still waits for."""
        source = self._seen(one.source_site)
        if source is None:
            return f"the cluster of {one.source_site}"
        if one.source_volume not in source.volumes:
            return f"volume {self._path(one.source_site, one.source_volume)}"
        if one.source_site != self._topology.registries[one.registry].primary.site:
            upstream = source.relationships.get(one.source_volume)
            if upstream is None or not upstream.established:
                return f"the baseline of {one.registry}.{one.source_site}"
        if one.volume not in facts.volumes:
            return f"volume {self._path(one.site, one.volume)}"
        return "" if facts.policy else f"policy {OURS}"

    def _expected(self, one: Relationship) -> int:
        source = self._seen(one.source_site)
        volume = source.volumes.get(one.source_volume) if source else None
        return volume.content_bytes if volume else 0


def _unfit(volume: Volume, wanted: str) -> tuple[str, Consequence, str] | None:
    if volume.state != "online":
        return f"it is {volume.state}", Consequence.BLOCKED, "bring it online"
    if volume.type != wanted:
        hint = "correct the topology, or give the registry another volume there"
        return f"it is of type {volume.type}, not {wanted}", Consequence.BLOCKED, hint
    return None
