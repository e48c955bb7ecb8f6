"""From what was seen to what is left of a move. Pure.

Rules:

- A plan looks at the world alone: storage, the topology file, the log, the hold files and what the edges answer.
  Whatever ended the last run, the next one goes on from there.
- Nothing is broken off before every edge holds writes, none is under way, and everything that was ever written is at
  the target and verified. All of that is looked at again in the same moment.
- The target's registry takes writes before the edges follow: while it restarts, they read elsewhere.
- Until the topology is switched the way leads back too: writes are released, and a target that was broken off is
  resynchronised, which costs nothing since nobody could write to it.
- A volume that can be written to is overwritten only where the log says that it was left in a planned move, or where
  somebody said so by its name.
- A forced move is without the old primary: it holds the edges that can be asked, says what the target lacks, and has
  that announced before anybody can write there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from farshore.ontap.model import Relationship as OntapRelationship
from farshore.ontap.model import RelationshipState
from farshore.topology.model import Relationship, Topology
from farshore_cli.applying.facts import Unseen
from farshore_cli.applying.plan import OURS, new_policy
from farshore_cli.applying.steps import Consequence, Difference, Kind, Step
from farshore_cli.moving.facts import Copy, EdgeSeen, Hold, LogSeen, Marked, MoveFacts
from farshore_cli.moving.steps import Act, MovePlan, MoveStep, Stage
from farshore_cli.moving.successor import successor, way_to_primary
from farshore_coalescer.snapshot_names import Log

AS_ASKED = "as was asked"
"""Why a move is given up that somebody wants undone."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What is wanted. `fresh` names the move, should it have no name yet."""

    registry: str
    target: str
    fresh: str
    longest_hold: timedelta = timedelta(minutes=10)
    """Writes are released where the break isn't reached so long after they were held."""
    behind_at_most: int = 100
    """Writes aren't held before the target has so few images left to get and verify."""
    despite_unready: bool = False
    """Whether images that the verifier gave up at the target may be left as they are."""
    abort: bool = False
    has_promotion: bool = False
    """Whether the mover knows how to have the target's registry take writes."""
    force: bool = False
    """The primary is lost: go on without it."""
    discard: str = ""
    """A site whose volume was written to and may be overwritten all the same."""


def is_switched(topology: Topology, intent: Intent) -> bool:
    """Whether the topology has the primary at the target already."""
    return topology.registries[intent.registry].primary.site == intent.target


def epoch_wanted(topology: Topology, intent: Intent) -> int:
    """The registry's epoch once it has moved."""
    return topology.registries[intent.registry].epoch + (0 if is_switched(topology, intent) else 1)


def latest_mark(topology: Topology, intent: Intent, log: LogSeen) -> Marked | None:
    """The last mark of the move to this target and epoch."""
    wanted = (intent.target, epoch_wanted(topology, intent))
    found = [mark for mark in log.marks if (mark.record.target, mark.record.epoch) == wanted]
    return found[-1] if found else None


def plan_move(topology: Topology, intent: Intent, facts: MoveFacts) -> MovePlan:
    """What is left of moving the registry, with `topology` as the file has it now."""
    if is_switched(topology, intent):
        return _After(topology, intent, facts).plan()
    before = _Before(topology, intent, facts)
    if intent.force or before.is_forced:
        return _Forced(topology, intent, facts).plan()
    return before.plan()


def _in_order(stages: Iterator[list[MoveStep]]) -> tuple[MoveStep, ...]:
    """Each stage waits for the one before it."""
    steps: list[MoveStep] = []
    before = ""
    for stage in stages:
        steps += [replace(step, waits=before or step.waits) for step in stage]
        before = before or (str(stage[0].stage) if stage else "")
    return tuple(steps)


class _Common:
    def __init__(self, topology: Topology, intent: Intent, facts: MoveFacts) -> None:
        self._topology = topology
        self._intent = intent
        self._facts = facts
        self._entry = topology.registries[intent.registry]
        self._epoch = epoch_wanted(topology, intent)
        self._mark = latest_mark(topology, intent, facts.log)

    @property
    def is_forced(self) -> bool:
        """Whether the last mark is that of a forced move."""
        return self._mark is not None and self._mark.record.forced

    def _path(self, site: str, volume: str) -> str:
        return f"{self._topology.sites[site].ontap.svm}:{volume}"

    def _copy(self, site: str) -> Copy | None:
        seen = self._facts.copies[site]
        return None if isinstance(seen, Unseen) else seen

    def _comes_from(self, found: OntapRelationship, one: Relationship) -> bool:
        """Whether its source is the one that is wanted: SVMs and volumes of two sites may have the same names."""
        source = self._copy(one.source_site)
        elsewhere = source is not None and found.source_cluster not in (None, source.cluster)
        return found.source_path == self._path(one.source_site, one.source_volume) and not elsewhere

    def _unseen(self) -> Iterator[Difference]:
        for site, copy in self._facts.copies.items():
            if isinstance(copy, Unseen):
                yield Difference(site, f"cluster of {site}", copy.reason, Consequence.UNKNOWN, copy.hint)
        for site, edge in self._facts.edges.items():
            if isinstance(edge, Unseen):
                yield Difference(site, f"edge of {site}", edge.reason, Consequence.UNKNOWN, edge.hint)

    def _edges_of_another_mind(self) -> Iterator[Difference]:
        """Edges that have another primary or epoch than the topology."""
        registry, old, epoch = self._intent.registry, self._entry.primary.site, self._entry.epoch
        for site, edge in self._facts.edges.items():
            if isinstance(edge, EdgeSeen) and (edge.primary, edge.epoch) != (old, epoch):
                found = f"its primary of {registry} is {edge.primary}, epoch {edge.epoch}"
                hint = f"the topology says {old}, epoch {epoch}: bring the two together first"
                yield Difference(site, f"edge of {site}", found, Consequence.BLOCKED, hint)

    def _releases(self, stage: Stage) -> list[MoveStep]:
        return [
            MoveStep(stage, site, f"release writes at the edge of {site}", Act.RELEASE)
            for site, hold in self._facts.holds.items()
            if hold is not None and hold.move
        ]

    def _break(self) -> list[MoveStep]:
        copy = self._copy(self._intent.target)
        uuid = copy.relationship.uuid if copy and copy.relationship else "<uuid>"
        name = f"{self._intent.registry}.{self._intent.target}"
        call = Step(
            self._intent.target,
            Kind.BREAK_OFF,
            f"relationship {name}",
            f"break off {name}: the volume there becomes writable",
            "PATCH",
            f"/snapmirror/relationships/{uuid}",
            {"state": "broken_off"},
        )
        return [self._call(Stage.BREAK, call)]

    def _switch(self, *, broken: bool) -> Iterator[list[MoveStep]]:
        """The target's registry takes writes, the topology is switched, and all that follows."""
        yield from self._promotion(broken=broken)
        words = f"write the topology: the primary is {self._intent.target}, epoch {self._epoch}"
        yield [MoveStep(Stage.SWITCH, "", words, Act.SWITCH)]
        after = successor(self._topology, self._intent.registry, self._intent.target)
        yield from _After(after, self._intent, self._facts, self._entry.primary.site).stages(foreseen=True)

    def _promotion(self, *, broken: bool) -> Iterator[list[MoveStep]]:
        """The target's registry becomes one that takes writes: by the command that was given for it, or by others."""
        target, accepts = self._intent.target, self._facts.accepts_writes
        told = self._facts.promoted or not self._intent.has_promotion
        words = f"the registry at {target} takes writes and posts notifications"
        if broken and (accepts or (accepts is None and told)):
            return
        if self._intent.has_promotion and not self._facts.promoted:
            yield [MoveStep(Stage.PROMOTE, target, f"have {words}", Act.PROMOTE)]
        else:
            yield [
                MoveStep(Stage.PROMOTE, target, f"{words}{'' if self._intent.has_promotion else ': start it so now'}")
            ]

    def _is_writable(self, site: str) -> bool:
        copy = self._copy(site)
        return copy is not None and copy.volume is not None and copy.volume.type == "rw"

    def _call(self, stage: Stage, call: Step) -> MoveStep:
        return MoveStep(stage, call.site, call.words, Act.CALL, call, waits=call.waits)


class _Before(_Common):
    """While the topology still has the old primary."""

    def plan(self) -> MovePlan:
        """The way on, or back."""
        differences = [*self._unseen(), *self._obstacles()]
        holding = any(hold is not None and hold.move for hold in self._facts.holds.values())
        if why := self._why_back(differences, holding):
            return MovePlan(_in_order(self._way_back()), tuple(differences), why)
        steps = _in_order(self._way_on())
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
                yield [self._call(Stage.GO_BACK, _resync(self._intent.target, name, found.uuid, words))]
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
            MoveStep(Stage.DRAIN, site, f"its edge holds writes and none is under way{_so_far(edge)}")
            for site, edge in self._facts.edges.items()
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
        earlier = [hold.move for hold in sorted(ours, key=_since) if hold.move != marked]
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


class _Forced(_Common):
    """While the topology still has the old primary, which is lost."""

    def plan(self) -> MovePlan:
        """The way on; back only until the target is broken off."""
        differences = tuple(self._obstacles())
        if self._intent.abort and not self._is_broken():
            return MovePlan(_in_order(iter([self._releases(Stage.RELEASE)])), differences, AS_ASKED)
        steps = _in_order(self._way_on())
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
        yield [MoveStep(Stage.DRAIN, site, "its edge holds writes") for site, edge in seen.items() if not edge.held]
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
        return min(ours, key=_since).move if ours else self._intent.fresh


class _After(_Common):
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
        return MovePlan(_in_order(self.stages()), tuple(differences))

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
                yield self._call(stage, _resync(one.site, one.name, found.uuid, words))
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
        yield self._call(stage, _resync(one.site, one.name, f"<uuid of {one.name}>", words, waits))

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


def _resync(site: str, name: str, uuid: str, words: str, waits: str = "") -> Step:
    path = f"/snapmirror/relationships/{uuid}"
    return Step(site, Kind.RESYNC, f"relationship {name}", words, "PATCH", path, {"state": "snapmirrored"}, waits)


def _since(hold: Hold) -> tuple[object, str]:
    return hold.since, hold.move


def _so_far(edge: EdgeSeen | Unseen) -> str:
    if not isinstance(edge, EdgeSeen) or not edge.held:
        return ""
    return " (some are)"
