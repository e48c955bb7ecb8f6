"""A planned move while the topology still has the old primary: on to the switch, or back. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from farshore.ontap.model import RelationshipState
from farshore.topology.model import Relationship
from farshore_cli.applying.steps import Consequence, Difference
from farshore_cli.moving.facts import EdgeSeen, Marked
from farshore_cli.moving.plan.intent import AS_ASKED
from farshore_cli.moving.plan.switching import Switching
from farshore_cli.moving.plan.view import in_order, resync, since, so_far
from farshore_cli.moving.steps import Act, MovePlan, MoveStep, Stage
from farshore_cli.moving.successor import successor
from farshore_coalescer.snapshot_names import Log


class Before(Switching):
    """While the topology still has the old primary."""

    def plan(self) -> MovePlan:
        """The way on, or back."""
        differences = [*self._unseen(), *self._obstacles()]
        holding = any(hold is not None and hold.move for hold in self._facts.holds.values())
        if why := self._why_back(differences, holding):
            return MovePlan(in_order(self._way_back()), tuple(differences), why)
        steps = in_order(self._way_on())
        obstacles = (Consequence.BLOCKED, Consequence.UNKNOWN)
        if not holding and any(one.consequence in obstacles for one in differences):
            steps = tuple(replace(step, waits=step.waits or "what stands against it") for step in steps)
        return MovePlan(steps, tuple(differences))

    # --- what stands against it

    def _obstacles(self) -> Iterator[Difference]:
        registry = self._intent.registry
        if not self._facts.edges:
            hint = "a planned move needs an edge that holds writes"
            yield Difference("", "edges", "no site has one", Consequence.BLOCKED, hint)
        yield from self._edges_of_another_mind()
        for site, hold in self._facts.holds.items():
            if hold is not None and hold.move and hold.target != self._intent.target:
                found = f"its writes are held by a move to {hold.target}"
                hint = f"end that first: farshore move {registry} --to {hold.target} [--abort]"
                yield Difference(site, f"edge of {site}", found, Consequence.BLOCKED, hint)
            elif hold is not None and not hold.move:
                found = "its writes are held, and not by a move"
                yield Difference(site, f"edge of {site}", found, Consequence.BLOCKED, "remove the hold file")
        for fence in self._facts.log.fences:
            hint = "wait until it is lifted: farshore fence lists it"
            yield Difference("", f"fence {fence}", "no snapshot is taken while it is up", Consequence.BLOCKED, hint)
        for one in self._topology.relationships(registry):
            yield from self._unfit(one)
        yield from self._unpeered()
        decided = self._facts.decided
        if decided is not None and decided.failed and not self._intent.despite_unready:
            names = ", ".join(decided.failed[:3]) + (", …" if len(decided.failed) > 3 else "")
            found = f"{len(decided.failed)} images are not ready there: {names}"
            hint = "send them back (farshore deadletter), or say --despite-unready"
            yield Difference(self._intent.target, registry, found, Consequence.BLOCKED, hint)

    def _unfit(self, one: Relationship) -> Iterator[Difference]:
        copy = self._copy(one.site)
        if copy is None:
            return
        subject, found = f"relationship {one.name}", copy.relationship
        wanted = self._path(one.source_site, one.source_volume)
        if found is None or not self._comes_from(found, one):
            source = found.source_path if found else "nothing"
            hint = "farshore plan tells more"
            yield Difference(one.site, subject, f"its source is {source}, not {wanted}", Consequence.BLOCKED, hint)
        elif not found.established and not (one.site == self._intent.target and self._is_broken_by_us()):
            hint = "resume or resynchronise it first"
            yield Difference(one.site, subject, f"it is {found.state}", Consequence.BLOCKED, hint)

    def _unpeered(self) -> Iterator[Difference]:
        after = successor(self._topology, self._intent.registry, self._intent.target)
        for one in after.relationships(self._intent.registry):
            here, there = self._copy(one.site), self._copy(one.source_site)
            if here is None or there is None or here.cluster == there.cluster:
                continue
            svm = self._topology.sites[one.source_site].ontap.svm
            if (there.cluster, svm) not in here.peers:
                found = f"{svm} of {there.cluster} isn't peered for SnapMirror, or can't be reached"
                hint = "cluster peer create and vserver peer create -applications snapmirror, on both sides"
                yield Difference(one.site, f"peering with {one.source_site}", found, Consequence.BLOCKED, hint)

    # --- back

    def _why_back(self, differences: list[Difference], holding: bool) -> str:
        if self._intent.abort:
            return AS_ASKED
        if not holding or self._is_broken_by_us():
            return ""
        since = min(hold.since for hold in self._facts.holds.values() if hold is not None and hold.move)
        if self._facts.now - since > self._intent.longest_hold:
            return f"writes have been held since {since:%H:%M:%S}Z, longer than they may be"
        if any(one.consequence is Consequence.BLOCKED for one in differences):
            return "something stands against it"
        return ""

    def _way_back(self) -> Iterator[list[MoveStep]]:
        copy, name = self._copy(self._intent.target), f"{self._intent.registry}.{self._intent.target}"
        if copy is not None and copy.relationship is not None and self._is_broken():
            found = copy.relationship
            words = f"resynchronise {name}: nothing was written to it"
            if found.transferring:
                yield [MoveStep(Stage.GO_BACK, self._intent.target, f"{name} is being resynchronised")]
            else:
                yield [self._call(Stage.GO_BACK, resync(self._intent.target, name, found.uuid, words))]
        yield self._releases(Stage.RELEASE)

    # --- on

    def _way_on(self) -> Iterator[list[MoveStep]]:
        broken = self._is_broken_by_us()
        if not broken:
            yield from self._until_verified()
            yield self._break()
        yield from self._switch(broken=broken)

    def _until_verified(self) -> Iterator[list[MoveStep]]:
        move, since_mark = self._move_id()
        decided = self._facts.decided
        holding = any(hold is not None and hold.move for hold in self._facts.holds.values())
        if not holding and decided is not None and decided.undecided > self._intent.behind_at_most:
            words = f"it has all but {self._intent.behind_at_most} images ({decided.undecided} to go)"
            yield [MoveStep(Stage.CATCH_UP, self._intent.target, words)]
        yield [
            MoveStep(Stage.HOLD, site, f"hold writes at the edge of {site}", Act.HOLD, move=move)
            for site, hold in self._facts.holds.items()
            if hold is None or hold.move != move
        ]
        yield [
            MoveStep(Stage.DRAIN, site, f"its edge holds writes and none is under way{so_far(edge, hold)}")
            for site, edge in self._facts.edges.items()
            for hold in (self._facts.holds.get(site),)
            if not (isinstance(edge, EdgeSeen) and edge.held and edge.idle)
        ]
        mark = self._mark if since_mark else None
        if mark is None or self._facts.log.last_event > mark.offset:
            words = "mark the log: no write of the registry can come behind this"
            yield [MoveStep(Stage.MARK, "", words, Act.MARK, move=move)]
            mark = None
        yield [
            MoveStep(Stage.TRANSFER, one.site, self._still_to_come(one, mark))
            for one in self._topology.relationships(self._intent.registry)
            if mark is None or not self._has_all(one, mark)
        ]
        if mark is None or decided is None or decided.undecided:
            lacking = f" ({decided.undecided} to go)" if decided is not None and decided.undecided else ""
            words = f"every image that was announced is verified at {self._intent.target}{lacking}"
            yield [MoveStep(Stage.VERIFY, self._intent.target, words)]

    def _move_id(self) -> tuple[str, bool]:
        """The move's id, and whether the mark in the log was written while all these holds were there."""
        ours = [hold for hold in self._facts.holds.values() if hold is not None and hold.move]
        marked = self._mark.record.move if self._mark is not None else ""
        complete = len(ours) == len(self._facts.holds) and len({hold.move for hold in ours}) == 1
        if complete and ours:
            return ours[0].move, ours[0].move == marked
        earlier = [hold.move for hold in sorted(ours, key=since) if hold.move != marked]
        return (earlier[0] if earlier else self._intent.fresh), False

    def _has_all(self, one: Relationship, mark: Marked) -> bool:
        """Whether the site exports the primary's snapshot of a cover behind the mark."""
        copy, source = self._copy(one.site), self._copy(self._entry.primary.site)
        if copy is None or source is None or copy.exported is None:
            return False
        name, version = copy.exported
        log = self._facts.log
        cover = Log(log.incarnation, log.partition).cover_of(name)
        return cover is not None and cover > mark.offset and source.snapshots.get(name) == version

    def _still_to_come(self, one: Relationship, mark: Marked | None) -> str:
        copy = self._copy(one.site)
        shown = copy.exported[0] if copy is not None and copy.exported else "nothing"
        crossed = f", {copy.crossed:,} bytes of the next have crossed" if copy is not None and copy.crossed else ""
        wanted = f"a snapshot of cover {mark.offset + 1}" if mark is not None else "the last snapshot"
        return f"it shows {wanted} (now {shown}{crossed})"

    def _is_broken(self) -> bool:
        copy = self._copy(self._intent.target)
        return (
            copy is not None
            and copy.relationship is not None
            and (copy.relationship.state is RelationshipState.BROKEN_OFF)
        )

    def _is_broken_by_us(self) -> bool:
        """Broken off in this move: marked, and every edge's hold still has the id of that mark."""
        copy = self._copy(self._intent.target)
        if copy is None or copy.volume is None or copy.relationship is None or self._mark is None:
            return False
        if not self._is_broken() or copy.volume.type != "rw" or copy.relationship.transferring:
            return False
        return all(hold is not None and hold.move == self._mark.record.move for hold in self._facts.holds.values())
