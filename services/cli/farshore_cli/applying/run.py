"""What all who make or remove storage share: the clusters opened, one look, one execution, the exit code."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from farshore.errors import FarshoreError, RetryClass
from farshore.ontap import OntapCluster
from farshore.topology import Topology
from farshore_cli import exit_codes
from farshore_cli.applying.execute import Execution, Outcome, Screen, Unshown
from farshore_cli.applying.facts import World
from farshore_cli.applying.observe import observe
from farshore_cli.applying.plan import plan
from farshore_cli.applying.show import difference_line, summary
from farshore_cli.applying.steps import Consequence, Plan

Planner = Callable[[World], Plan]
VOLUME_BYTES = 1 << 40
"""Size of a volume that is made, unless somebody says otherwise: it is thin, and takes what it holds."""


@asynccontextmanager
async def opened(topology: Topology) -> AsyncIterator[Mapping[str, OntapCluster]]:
    """A client for each site's cluster. Raises ConfigurationError for a password that can't be read."""
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(OntapCluster(name, site.ontap))
            for name, site in topology.sites.items()
        }


async def look(topology: Topology, planner: Planner) -> Plan:
    """The plan of this moment; changes nothing."""
    async with opened(topology) as clusters:
        return planner(await observe(topology, clusters))


async def execute(topology: Topology, planner: Planner, screen: Screen, within: float) -> Outcome:
    """Carry the plan out."""
    async with opened(topology) as clusters:
        return await Execution(topology, clusters, planner, screen, within).run()


async def make_storage(topology: Topology, within: float) -> None:
    """Have all storage as `topology` says, or raise FarshoreError: for those who can't go on without it."""
    outcome = await execute(topology, lambda world: plan(topology, world, VOLUME_BYTES), Unshown(), within)
    for failure in outcome.failures.values():
        raise failure
    if outcome_code(outcome) != exit_codes.OK:
        reasons = [difference_line(one).strip() for one in outcome.plan.differences] or [summary(outcome.plan)]
        raise FarshoreError("make", "storage", "; ".join(reasons), retry=RetryClass.OPERATOR)


def plan_code(plan: Plan) -> int:
    """75 where a cluster wasn't seen, 1 where a person has to act, else 0."""
    if plan.has(Consequence.UNKNOWN):
        return exit_codes.UNKNOWN
    return exit_codes.FAILED if plan.has(Consequence.BLOCKED) else exit_codes.OK


def outcome_code(outcome: Outcome) -> int:
    """As `plan_code`; 1 too where a call failed, 75 too where it isn't at its end."""
    if outcome.failures:
        return exit_codes.FAILED
    code = plan_code(outcome.plan)
    return exit_codes.UNKNOWN if code == exit_codes.OK and outcome.plan.pending else code


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """What was done, what failed, what is left."""
    return {
        "complete": outcome_code(outcome) == exit_codes.OK,
        "done": [step.as_json() for step in outcome.done],
        "failures": [str(error) for error in outcome.failures.values()],
        "left": outcome.plan.as_json(),
    }
