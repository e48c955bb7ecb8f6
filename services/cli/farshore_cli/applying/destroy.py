"""What it takes to remove one replica, and who may not be removed. Pure."""

from collections.abc import Iterator

from farshore.topology.model import Relationship, Topology
from farshore_cli.applying.facts import SiteFacts, Unseen, World
from farshore_cli.applying.steps import Consequence, Difference, Kind, Plan, Step


def replica_named(topology: Topology, name: str) -> Relationship | None:
    """The replica `registry.site`; None for anything else, a primary too."""
    return next((one for one in topology.all_relationships() if one.name == name), None)


def destruction(topology: Topology, world: World, one: Relationship) -> Plan:
    """The calls that remove relationship and volume of the replica `one`; no call where something forbids it."""
    seen = world[one.site]
    if isinstance(seen, Unseen):
        unseen = Difference(one.site, f"cluster of {one.site}", seen.reason, Consequence.UNKNOWN, seen.hint)
        return Plan(differences=(unseen,))
    refusal = _refusal(topology, seen, one)
    if refusal is not None:
        return Plan(differences=(refusal,))
    return Plan(tuple(_steps(topology, seen, one)))


def _refusal(topology: Topology, facts: SiteFacts, one: Relationship) -> Difference | None:
    def refused(found: str, hint: str) -> Difference:
        return Difference(one.site, f"replica {one.name}", found, Consequence.BLOCKED, hint)

    fed = [other.name for other in topology.relationships(one.registry) if other.source_site == one.site]
    if fed:
        return refused(f"it feeds {', '.join(fed)}", "remove those first, or give them another source")
    volume, relationship = facts.volumes.get(one.volume), facts.relationships.get(one.volume)
    if volume is not None and volume.type != "dp":
        return refused(
            f"its volume is of type {volume.type}",
            "only a SnapMirror destination is removed: this may be the only copy",
        )
    source = f"{topology.sites[one.source_site].ontap.svm}:{one.source_volume}"
    if relationship is not None and relationship.source_path != source:
        return refused(f"its source is {relationship.source_path}, not {source}", "correct the topology")
    if relationship is not None and relationship.transferring:
        return refused("a transfer is running", "stop the coalescer and wait for its end, or abort it")
    return None


def _steps(topology: Topology, facts: SiteFacts, one: Relationship) -> Iterator[Step]:
    path = f"{topology.sites[one.site].ontap.svm}:{one.volume}"
    volume, relationship = facts.volumes.get(one.volume), facts.relationships.get(one.volume)
    waits = ""
    if relationship is not None:
        target = f"/snapmirror/relationships/{relationship.uuid}"
        words = f"delete the relationship {one.name} and release its source"
        yield Step(one.site, Kind.DELETE_RELATIONSHIP, f"relationship {one.name}", words, "DELETE", target)
        waits = f"the end of relationship {one.name}"
    if volume is None:
        return
    target = f"/storage/volumes/{volume.uuid}"
    if volume.junction_path:
        words = f"unmount {path} from {volume.junction_path}"
        body = {"nas": {"path": ""}}
        yield Step(one.site, Kind.UNMOUNT_VOLUME, f"volume {path}", words, "PATCH", target, body, waits)
        waits = f"volume {path} is unmounted"
    words = f"delete the volume {path} with all that is on it"
    yield Step(one.site, Kind.DELETE_VOLUME, f"volume {path}", words, "DELETE", target, None, waits)
