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

from farshore.topology.model import Topology
from farshore_cli.moving.facts import MoveFacts
from farshore_cli.moving.plan.after import After
from farshore_cli.moving.plan.before import Before
from farshore_cli.moving.plan.forced import Forced
from farshore_cli.moving.plan.intent import AS_ASKED, Intent, is_switched, latest_mark
from farshore_cli.moving.steps import MovePlan

__all__ = ["AS_ASKED", "Intent", "is_switched", "latest_mark", "plan_move"]


def plan_move(topology: Topology, intent: Intent, facts: MoveFacts) -> MovePlan:
    """What is left of moving the registry, with `topology` as the file has it now."""
    if is_switched(topology, intent):
        return After(topology, intent, facts).plan()
    before = Before(topology, intent, facts)
    if intent.force or before.is_forced:
        return Forced(topology, intent, facts).plan()
    return before.plan()
