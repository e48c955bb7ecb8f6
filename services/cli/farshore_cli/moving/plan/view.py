"""What all parts of a move's plan ask of what was seen, and the steps that several of them have. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from farshore.ontap.model import Relationship as OntapRelationship
from farshore.topology.model import Relationship, Topology
from farshore_cli.applying.facts import Unseen
from farshore_cli.applying.steps import Consequence, Difference, Kind, Step
from farshore_cli.moving.facts import Copy, EdgeSeen, Hold, MoveFacts
from farshore_cli.moving.plan.intent import Intent, epoch_wanted, latest_mark
from farshore_cli.moving.steps import Act, MoveStep, Stage


def in_order(stages: Iterator[list[MoveStep]]) -> tuple[MoveStep, ...]:
    """Each stage waits for the one before it."""
    steps: list[MoveStep] = []
    before = ""
    for stage in stages:
        steps += [replace(step, waits=before or step.waits) for step in stage]
        before = before or (str(stage[0].stage) if stage else "")
    return tuple(steps)


class View:
    """The world of one move, as its plan looks at it."""

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

    def _is_writable(self, site: str) -> bool:
        copy = self._copy(site)
        return copy is not None and copy.volume is not None and copy.volume.type == "rw"

    def _call(self, stage: Stage, call: Step) -> MoveStep:
        return MoveStep(stage, call.site, call.words, Act.CALL, call, waits=call.waits)


def resync(site: str, name: str, uuid: str, words: str, waits: str = "") -> Step:
    path = f"/snapmirror/relationships/{uuid}"
    return Step(site, Kind.RESYNC, f"relationship {name}", words, "PATCH", path, {"state": "snapmirrored"}, waits)


def since(hold: Hold) -> tuple[object, str]:
    return hold.since, hold.move


def so_far(edge: EdgeSeen | Unseen, hold: Hold | None) -> str:
    """What there is to say of an edge that is waited for: it doesn't hold writes yet, or some are under way."""
    if not isinstance(edge, EdgeSeen):
        return ""
    if edge.held:
        return " (some are)"
    return " (it doesn't see its hold file: may nginx's workers look into the folder?)" if hold is not None else ""
