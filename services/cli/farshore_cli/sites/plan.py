"""What storage takes when a site comes or leaves. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from farshore.ontap.model import RelationshipState
from farshore.topology.model import Relationship, Topology
from farshore_cli.applying.destroy import destruction
from farshore_cli.applying.facts import SiteFacts, Unseen, World
from farshore_cli.applying.plan import plan
from farshore_cli.applying.steps import Consequence, Difference, Kind, Plan, Step


def replicas_at(topology: Topology, site: str) -> list[Relationship]:
    """What is replicated to `site`."""
    return [one for one in topology.all_relationships() if one.site == site]


def arrival(topology: Topology, world: World, site: str, volume_bytes: int) -> Plan:
    """Of all that `apply` would do, what concerns the replicas at `site`."""
    whole = plan(topology, world, volume_bytes)
    names = {one.name for one in replicas_at(topology, site)}
    return Plan(
        tuple(step for step in whole.steps if step.site == site),
        tuple(one for one in whole.baselines if one.relationship in names),
        tuple(one for one in whole.differences if one.site == site),
    )


def departure(topology: Topology, world: World, site: str, *, delete_data: bool) -> Plan:
    """The calls that end the replication to `site`: pause, abort what runs, delete and release; with `delete_data` the
    volumes go too. No call at all where one of its replicas may not go."""
    seen = world[site]
    if isinstance(seen, Unseen):
        unseen = Difference(site, f"cluster of {site}", seen.reason, Consequence.UNKNOWN, seen.hint)
        return Plan(differences=(unseen,))
    primaries = [name for name, registry in topology.registries.items() if registry.primary.site == site]
    if primaries:
        found = f"it is the primary of {', '.join(primaries)}"
        blocked = Difference(site, f"site {site}", found, Consequence.BLOCKED, "move that to another site first")
        return Plan(differences=(blocked,))
    plans = [_replica(topology, world, seen, one, delete_data=delete_data) for one in replicas_at(topology, site)]
    differences = tuple(found for one in plans for found in one.differences)
    steps = () if differences else tuple(step for one in plans for step in one.steps)
    return Plan(steps, differences=differences)


def _replica(topology: Topology, world: World, facts: SiteFacts, one: Relationship, *, delete_data: bool) -> Plan:
    relationship = facts.relationships.get(one.volume)
    still = {**facts.relationships}
    if relationship is not None:
        still[one.volume] = replace(relationship, transfer_state=None)  # what runs is aborted here
    end = destruction(topology, {**world, one.site: replace(facts, relationships=still)}, one)
    kept = tuple(step for step in end.steps if delete_data or step.kind is Kind.DELETE_RELATIONSHIP)
    if relationship is None or end.differences:
        return Plan(kept, differences=end.differences)
    before = tuple(_quiet(facts, one))
    if before:
        # the coalescer may begin a transfer at any moment until the relationship is paused
        kept = tuple(replace(step, waits=step.waits or f"{one.name} is paused") for step in kept)
    return Plan((*before, *kept))


def _quiet(facts: SiteFacts, one: Relationship) -> Iterator[Step]:
    relationship = facts.relationships[one.volume]
    subject, target = f"relationship {one.name}", f"/snapmirror/relationships/{relationship.uuid}"
    if relationship.transferring and relationship.transfer_uuid is not None:
        path = f"{target}/transfers/{relationship.transfer_uuid}"
        words = f"abort the transfer of {one.name}"
        yield Step(one.site, Kind.ABORT_TRANSFER, subject, words, "PATCH", path, {"state": "aborted"})
    if relationship.state not in (RelationshipState.PAUSED, RelationshipState.UNINITIALIZED):
        words = f"pause the relationship {one.name}"
        waits = f"the end of the transfer of {one.name}" if relationship.transferring else ""
        yield Step(one.site, Kind.PAUSE, subject, words, "PATCH", target, {"state": "paused"}, waits)
