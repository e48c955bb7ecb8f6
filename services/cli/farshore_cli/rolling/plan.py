"""Which snapshot a replica can go back to, the calls for it, and which readiness it ends. Pure.

The relationship is broken off with `restore_to_snapshot` (ONTAP REST 9.14, snapmirror/relationships) and stays so: that
is the hold. Nothing is transferred to a relationship that is broken off, by anybody, until it is released on purpose.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from farshore.ontap.model import Relationship as OntapRelationship
from farshore.ontap.model import RelationshipState, Snapshot
from farshore.records.arrivals import Generation
from farshore.records.cloudevent import MalformedRecordError
from farshore.records.readiness import Readiness
from farshore.topology.model import Relationship
from farshore_cli.applying.facts import SiteFacts, Unseen, World
from farshore_cli.applying.steps import Baseline, Consequence, Difference, Kind, Plan, Step
from farshore_coalescer.snapshot_names import generation_of

LAST_VERIFIED = "last-verified"


@dataclass(frozen=True, slots=True)
class Seen:
    """A replica's snapshots, oldest first, and those of its source; `verified` are the `version_uuid`s under which an
    image was called ready there."""

    relationship: OntapRelationship
    here: Sequence[Snapshot]
    source: Sequence[Snapshot]
    verified: Collection[str]


def choose(seen: Seen, wanted: str) -> Snapshot | str:
    """The snapshot to go back to, or why there is none."""
    if seen.relationship.state is RelationshipState.BROKEN_OFF:
        return _again(seen, wanted)
    shown = seen.relationship.exported_snapshot
    names = [one.name for one in seen.here]
    if shown is None or shown not in names:
        return "it exports no snapshot: there is nothing to go back from"
    earlier = seen.here[: names.index(shown)]
    at_source = {one.version_uuid for one in seen.source}
    possible = [one for one in earlier if generation_of(one.name) is not None and one.version_uuid in at_source]
    listed = ", ".join(one.name for one in possible) or "none"
    if wanted != LAST_VERIFIED:
        found = next((one for one in possible if one.name == wanted), None)
        return found or f"{wanted} is no earlier snapshot of farshore's that both sides have; there are: {listed}"
    verified = [one for one in possible if one.version_uuid in seen.verified]
    return verified[-1] if verified else f"no earlier snapshot that both sides have was verified; there are: {listed}"


def _again(seen: Seen, wanted: str) -> Snapshot | str:
    """A run that was ended goes on where the replica stands."""
    shown = next((one for one in seen.here if one.name == seen.relationship.exported_snapshot), None)
    if shown is None or generation_of(shown.name) is None:
        return "it is broken off, and shows no snapshot of farshore's: it may have been written to"
    if wanted not in (LAST_VERIFIED, shown.name):
        return f"it is at {shown.name} already: release it first"
    return shown


def going_back(world: World, one: Relationship, target: str) -> Plan:
    """The calls that bring the replica `one` to the snapshot `target`; none once it is there."""
    found = _relationship(world, one)
    if isinstance(found, Plan):
        return found
    subject, path = f"relationship {one.name}", f"/snapmirror/relationships/{found.uuid}"
    if found.transferring:
        words = f"abort the transfer of {one.name}"
        abort = f"{path}/transfers/{found.transfer_uuid}"
        return Plan((Step(one.site, Kind.ABORT_TRANSFER, subject, words, "PATCH", abort, {"state": "aborted"}),))
    back: list[Step] = []
    if found.state is RelationshipState.BROKEN_OFF:
        return Plan()
    if found.established:
        words = f"pause the relationship {one.name}"
        back.append(Step(one.site, Kind.PAUSE, subject, words, "PATCH", path, {"state": "paused"}))
    body = {"state": "broken_off", "restore_to_snapshot": target}
    words = f"break the relationship {one.name} off, back at {target}"
    waits = f"{one.name} is paused" if back else ""
    back.append(Step(one.site, Kind.BREAK_OFF, subject, words, "PATCH", path, body, waits))
    return Plan(tuple(back))


def letting_go(world: World, one: Relationship) -> Plan:
    """The call that lets the replica follow its source again; none once it does."""
    found = _relationship(world, one)
    if isinstance(found, Plan):
        return found
    if found.transferring:
        facts = world[one.site]
        crossed = facts.transferred.get(one.volume, 0) if isinstance(facts, SiteFacts) else 0
        return Plan(baselines=() if found.established else (Baseline(one.name, crossed, 0),))
    if found.established:
        return Plan()
    words = f"resynchronise {one.name}: it becomes again what its source is"
    path = f"/snapmirror/relationships/{found.uuid}"
    step = Step(one.site, Kind.RESYNC, f"relationship {one.name}", words, "PATCH", path, {"state": "snapmirrored"})
    return Plan((step,))


def _relationship(world: World, one: Relationship) -> OntapRelationship | Plan:
    facts = world[one.site]
    if isinstance(facts, Unseen):
        unseen = Difference(one.site, f"cluster of {one.site}", facts.reason, Consequence.UNKNOWN, facts.hint)
        return Plan(differences=(unseen,))
    found = facts.relationships.get(one.volume)
    if found is None or found.state is RelationshipState.UNINITIALIZED:
        reason = "there is none" if found is None else "it has no baseline"
        missing = Difference(one.site, f"relationship {one.name}", reason, Consequence.BLOCKED, "see farshore plan")
        return Plan(differences=(missing,))
    return found


def vanishes(statement: Readiness, snapshot: str) -> bool:
    """Whether the image of which `statement` says `ready` isn't known to be in `snapshot`: its event is not covered."""
    cover = generation_of(snapshot)
    if cover is None:
        return True
    try:
        event = Generation.parse(statement.generation, "readiness")
    except MalformedRecordError:
        return True
    same_log = (event.incarnation, event.partition) == (cover.incarnation, cover.partition)
    return not same_log or event.offset >= cover.offset
