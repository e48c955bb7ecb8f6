"""What is wanted of a move, and what it means for the topology and the log. Pure."""

from dataclasses import dataclass
from datetime import timedelta

from farshore.topology.model import Topology
from farshore_cli.moving.facts import LogSeen, Marked

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
