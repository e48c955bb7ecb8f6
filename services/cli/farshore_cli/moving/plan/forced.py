"""A forced move while the topology still has the old primary, which is lost. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from farshore.ontap.model import RelationshipState
from farshore_cli.applying.steps import Consequence, Difference
from farshore_cli.moving.facts import EdgeSeen
from farshore_cli.moving.plan.intent import AS_ASKED
from farshore_cli.moving.plan.switching import Switching
from farshore_cli.moving.plan.view import in_order, since, so_far
from farshore_cli.moving.steps import Act, MovePlan, MoveStep, Stage


class Forced(Switching):
    """While the topology still has the old primary, which is lost."""

    def plan(self) -> MovePlan:
        """The way on; back only until the target is broken off."""
        differences = tuple(self._obstacles())
        if self._intent.abort and not self._is_broken():
            return MovePlan(in_order(iter([self._releases(Stage.RELEASE)])), differences, AS_ASKED)
        steps = in_order(self._way_on())
        if any(one.consequence is not Consequence.LEFT for one in differences):
            steps = tuple(replace(step, waits=step.waits or "what stands against it") for step in steps)
        return MovePlan(steps, differences)

    def _obstacles(self) -> Iterator[Difference]:
        old, target, registry = self._entry.primary.site, self._intent.target, self._intent.registry
        for one in self._unseen():
            if one.site == target and self._copy(target) is None:
                yield one
            else:
                edge = one.subject.startswith("edge")
                hint = f"what it still lets through to {old} is lost" if edge else one.hint
                yield replace(one, consequence=Consequence.LEFT, hint=hint)
        source = self._copy(old)
        if source is not None and source.volume is not None and source.volume.state == "online":
            hint = "a planned move (without --force) loses nothing"
            yield Difference(old, f"volume {source.volume.name}", "it is there", Consequence.BLOCKED, hint)
        yield from self._edges_of_another_mind()
        copy = self._copy(target)
        if copy is not None and not (self._is_broken() or (copy.relationship and copy.relationship.established)):
            found = f"it is {copy.relationship.state}" if copy.relationship else "there is none"
            hint = "choose another site"
            yield Difference(target, f"relationship {registry}.{target}", found, Consequence.BLOCKED, hint)
        if self._intent.abort and self._is_broken():
            found, hint = "it is broken off, and its source is lost", "go on, and move back when it is there again"
            yield Difference(target, f"relationship {registry}.{target}", found, Consequence.BLOCKED, hint)

    def _is_broken(self) -> bool:
        """Broken off by a forced move."""
        copy = self._copy(self._intent.target)
        state = copy.relationship.state if copy is not None and copy.relationship is not None else None
        return state is RelationshipState.BROKEN_OFF and self.is_forced and self._is_writable(self._intent.target)

    def _way_on(self) -> Iterator[list[MoveStep]]:
        broken, move = self._is_broken(), self._move_id()
        seen = {site: edge for site, edge in self._facts.edges.items() if isinstance(edge, EdgeSeen)}
        yield [
            MoveStep(Stage.HOLD, site, f"hold writes at the edge of {site}", Act.HOLD, move=move)
            for site in seen
            if (hold := self._facts.holds.get(site)) is None or hold.move != move
        ]
        yield [
            MoveStep(Stage.DRAIN, site, f"its edge holds writes{so_far(edge, self._facts.holds.get(site))}")
            for site, edge in seen.items()
            if not edge.held
        ]
        if not broken:
            if not (self._mark is not None and self._mark.record.forced and self._mark.record.move == move):
                yield [MoveStep(Stage.MARK, "", "mark the log: the primary was given up here", Act.MARK, move=move)]
            yield self._break()
        loss = self._facts.loss
        if loss is not None and loss.unannounced:
            words = f"announce what vanished, by image: {len(loss.unannounced)}"
            yield [MoveStep(Stage.ANNOUNCE, "", words, Act.ANNOUNCE, move=move)]
        yield from self._switch(broken=broken)

    def _move_id(self) -> str:
        if self._mark is not None and self._mark.record.forced:
            return self._mark.record.move
        ours = [hold for hold in self._facts.holds.values() if hold is not None and hold.move]
        return min(ours, key=since).move if ours else self._intent.fresh
