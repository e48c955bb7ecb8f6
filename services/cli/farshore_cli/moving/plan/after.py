"""What follows once the topology has the new primary, planned or forced. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from farshore.ontap.model import Relationship as OntapRelationship
from farshore.ontap.model import RelationshipState
from farshore.topology.model import Relationship, Topology
from farshore_cli.applying.facts import Unseen
from farshore_cli.applying.plan import OURS, new_policy
from farshore_cli.applying.steps import Consequence, Difference, Kind, Step
from farshore_cli.moving.facts import Copy, EdgeSeen, MoveFacts
from farshore_cli.moving.plan.intent import Intent
from farshore_cli.moving.plan.view import View, in_order, resync
from farshore_cli.moving.steps import Act, MovePlan, MoveStep, Stage
from farshore_cli.moving.successor import way_to_primary


class After(View):
    """Once the topology has the new primary; `left` is the old one where the log needn't be asked."""

    def __init__(self, topology: Topology, intent: Intent, facts: MoveFacts, left: str = "") -> None:
        super().__init__(topology, intent, facts)
        self._old = left or (self._mark.record.source if self._mark is not None else "")

    def plan(self) -> MovePlan:
        """The way on; there is none back but another move."""
        differences = [self._judged(one) for one in self._unseen()]
        if self._intent.abort:
            found = f"the topology has {self._intent.registry} at {self._intent.target} already"
            hint = f"finish the move, then move it back: --to {self._mark.record.source if self._mark else 'SITE'}"
            return MovePlan((), (Difference("", "topology", found, Consequence.BLOCKED, hint),))
        differences += self._precious()
        return MovePlan(in_order(self.stages()), tuple(differences))

    def _judged(self, one: Difference) -> Difference:
        """A site that was given up may stay away."""
        if not self.is_forced or one.site != self._old:
            return one
        hint = f"when it is back, run this again with --discard {self._old}"
        return replace(one, consequence=Consequence.LEFT, hint=hint)

    def _precious(self) -> Iterator[Difference]:
        for one in self._topology.relationships(self._intent.registry):
            copy = self._copy(one.site)
            if copy is None or copy.volume is None or copy.volume.type != "rw" or self._may_discard(one.site):
                continue
            found = "its volume can be written to, and may hold what nobody else has"
            hint = "was it left in a planned move? The log doesn't say so"
            if self.is_forced and one.site == self._old:
                hint = f"--discard {one.site} makes it a replica again, and what only it has is lost"
            yield Difference(one.site, f"volume {copy.volume.name}", found, Consequence.BLOCKED, hint)

    def _may_discard(self, site: str) -> bool:
        return site == self._old and (not self.is_forced or self._intent.discard == site)

    def stages(self, *, foreseen: bool = False) -> Iterator[list[MoveStep]]:
        """All that follows the switch; `foreseen`: as it will be, before it happened."""
        registry, target = self._intent.registry, self._intent.target
        relationships = {one.site: one for one in self._topology.relationships(registry)}
        old = self._old
        way = way_to_primary(self._topology, registry, old)[:-1] if old in relationships else []
        yield [
            *self._former(),
            *(step for site in reversed(way) for step in self._repoint(relationships[site], Stage.REVERSE)),
        ]
        edges = self._facts.edges
        forced = self.is_forced or (foreseen and self._intent.force)
        yield [
            MoveStep(Stage.FOLLOW, site, f"the edge of {site} follows: primary {target}, epoch {self._epoch}")
            for site, edge in edges.items()
            if not (forced and isinstance(edge, Unseen))
            and not (isinstance(edge, EdgeSeen) and (edge.primary, edge.epoch) == (target, self._epoch))
        ]
        if foreseen:
            yield [
                MoveStep(Stage.RELEASE, site, f"release writes at the edge of {site}", Act.RELEASE)
                for site, edge in edges.items()
                if not (forced and isinstance(edge, Unseen))
            ]
        else:
            yield self._releases(Stage.RELEASE)
        others = [one for site, one in relationships.items() if site not in way]
        yield [step for one in others for step in self._repoint(one, Stage.REPOINT)]
        yield [
            MoveStep(Stage.RESYNC, one.site, f"{one.name} is in step with its new source{self._crossed(one.site)}")
            for one in relationships.values()
            if not self._follows(one) and not (forced and one.site == old and not self._is_coming_back())
        ]
        rejoins = not forced or self._is_coming_back()
        if old in relationships and rejoins and not self._is_taken_up(old):
            words = f"a coalescer with the new topology publishes arrivals for {registry}.{old}"
            yield [MoveStep(Stage.TAKE_UP, "", words)]

    def _is_coming_back(self) -> bool:
        """Whether the site that was given up is a replica again, or may become one."""
        if self._copy(self._old) is None:
            return False
        return not self._is_writable(self._old) or self._may_discard(self._old)

    def _former(self) -> Iterator[MoveStep]:
        """The relationship that ended in the new primary's volume has no more use."""
        copy = self._copy(self._intent.target)
        if copy is not None and copy.relationship is not None:
            name = f"{self._intent.registry}.{self._intent.target}"
            yield self._call(Stage.REVERSE, self._delete(self._intent.target, name, copy.relationship, ""))

    def _repoint(self, one: Relationship, stage: Stage) -> Iterator[MoveStep]:
        copy = self._copy(one.site)
        if copy is None or (self._is_writable(one.site) and not self._may_discard(one.site)):
            return
        found, waits = copy.relationship, ""
        if found is not None and self._comes_from(found, one):
            if found.state is RelationshipState.BROKEN_OFF and not found.transferring:
                words = f"resynchronise {one.name} from {one.source_site}"
                yield self._call(stage, resync(one.site, one.name, found.uuid, words))
            return
        if not copy.has_policy:
            yield self._call(stage, new_policy(one.site, self._topology.sites[one.site].ontap.svm))
            waits = f"policy {OURS}"
        if found is not None:
            yield self._call(stage, self._delete(one.site, one.name, found, waits))
            waits = waits or f"the end of relationship {one.name}"
        yield self._call(stage, self._create(one, waits))
        words = f"resynchronise {one.name} from {one.source_site}"
        waits = f"relationship {one.name}"
        yield self._call(stage, resync(one.site, one.name, f"<uuid of {one.name}>", words, waits))

    def _delete(self, site: str, name: str, found: OntapRelationship, waits: str) -> Step:
        seen = {copy.cluster for copy in self._facts.copies.values() if isinstance(copy, Copy)}
        lost = found.source_cluster is not None and found.source_cluster not in seen
        return Step(
            site,
            Kind.DELETE_RELATIONSHIP,
            f"relationship {name}",
            f"delete the former relationship to {name}{'' if lost else ' and release its source'}",
            "DELETE",
            f"/snapmirror/relationships/{found.uuid}{'?destination_only=true' if lost else ''}",
            None,
            waits,
        )

    def _create(self, one: Relationship, waits: str) -> Step:
        source, destination = self._path(one.source_site, one.source_volume), self._path(one.site, one.volume)
        here, there = self._copy(one.site), self._copy(one.source_site)
        body: dict[str, object] = {
            "source": {"path": source},
            "destination": {"path": destination},
            "policy": {"name": OURS},
        }
        if here is not None and there is not None and here.cluster != there.cluster:
            body["source"] = {"path": source, "cluster": {"name": there.cluster}}
        return Step(
            one.site,
            Kind.CREATE_RELATIONSHIP,
            f"relationship {one.name}",
            f"make the relationship {one.name}: {source} to {destination}",
            "POST",
            "/snapmirror/relationships",
            body,
            waits,
        )

    def _follows(self, one: Relationship) -> bool:
        copy = self._copy(one.site)
        if copy is None or copy.relationship is None:
            return False
        return self._comes_from(copy.relationship, one) and copy.relationship.established

    def _crossed(self, site: str) -> str:
        copy = self._copy(site)
        return f" ({copy.crossed:,} bytes have crossed)" if copy is not None and copy.crossed else ""

    def _is_taken_up(self, site: str) -> bool:
        position = self._facts.positions.get(f"{self._intent.registry}.{site}", -1)
        return self._mark is not None and position > self._mark.offset
