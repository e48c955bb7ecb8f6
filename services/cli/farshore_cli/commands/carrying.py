"""The frame of commands that change storage and then something in Kafka: told to people as they go, to programs at
their end."""

import json
import sys
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import typer

from farshore.bus.failures import KAFKA_FAILURES
from farshore.errors import FarshoreError, RetryClass
from farshore.topology import Topology
from farshore_cli import exit_codes
from farshore_cli.applying.execute import Outcome
from farshore_cli.applying.facts import World
from farshore_cli.applying.run import execute
from farshore_cli.applying.screen import ApplyScreen
from farshore_cli.applying.show import difference_line, step_lines
from farshore_cli.applying.steps import Plan
from farshore_cli.commands.options import Output, seconds_of, table_console
from farshore_cli.commands.running import Interruption, run_until_interrupted, unless_interrupted

Within = Annotated[float, typer.Option(parser=seconds_of, metavar="DURATION", help="How long to wait in all.")]
Planner = Callable[[World], Plan]
Say = Callable[[str], None]
Work = Callable[[Say], Coroutine[Any, Any, tuple[int, dict[str, Any]]]]


def run_told(work: Work, output: Output, *, tells_programs: bool = True) -> tuple[int, dict[str, Any]]:
    """Do `work` until it ends or is interrupted; its exit code, and the document that programs get at its end.

    Kafka that can't be reached is exit code 69, another failure that may pass 75. Raises FarshoreError for the rest.
    """
    document: dict[str, Any] = {}

    def say(line: str) -> None:
        if output is not Output.JSON:
            print(line, flush=True)

    async def main(interruption: Interruption) -> int:
        found = await unless_interrupted(work(say), interruption)
        if found is None:
            return interruption.exit_code
        document.update(found[1])
        return found[0]

    try:
        code = run_until_interrupted(main)
    except KAFKA_FAILURES as error:
        print(f"farshore: Kafka: {str(error) or type(error).__name__}", file=sys.stderr)
        return exit_codes.UNAVAILABLE, document
    except FarshoreError as error:
        if error.retry is not RetryClass.RETRY_SOON:
            raise
        print(f"farshore: {error}", file=sys.stderr)
        return exit_codes.UNKNOWN, document
    if output is Output.JSON and tells_programs and document:
        print(json.dumps({"complete": code == exit_codes.OK, **document}, indent=2))
    return code, document


async def carry_out(topology: Topology, planner: Planner, within: float, output: Output) -> Outcome:
    """Carry the plan out, with a line for each call, and for what is left."""
    with ApplyScreen(table_console(), quiet=output is Output.JSON) as screen:
        outcome = await execute(topology, planner, screen, within)
    if output is not Output.JSON:
        lines = [line for step in outcome.plan.steps for line in step_lines("left:", step)]
        lines += [difference_line(one) for one in outcome.plan.differences]
        print("\n".join(lines), end="\n" if lines else "", flush=True)
    return outcome
