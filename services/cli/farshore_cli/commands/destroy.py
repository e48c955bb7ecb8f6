"""`farshore destroy --replica NAME`: remove one replica and its data."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from farshore.topology import load_topology
from farshore_cli import exit_codes
from farshore_cli.applying.destroy import destruction, replica_named
from farshore_cli.applying.facts import World
from farshore_cli.applying.run import execute, look, outcome_code, outcome_json, plan_code
from farshore_cli.applying.screen import ApplyScreen
from farshore_cli.applying.show import difference_line, plan_lines, summary
from farshore_cli.applying.steps import Plan
from farshore_cli.commands.options import Output, table_console
from farshore_cli.commands.running import Interruption, run_until_interrupted, unless_interrupted

_WITHIN_SECONDS = 600.0


def destroy(
    topology: Annotated[Path, typer.Argument(help="The topology file.", show_default=False)],
    replica: Annotated[str, typer.Option(metavar="REGISTRY.SITE", help="Which replica.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the calls; make none.")] = False,
    yes: Annotated[
        str | None, typer.Option(metavar="REGISTRY.SITE", help="The same name again, in place of being asked for it.")
    ] = None,
    output: Annotated[Output, typer.Option(help="For people or for programs.")] = Output.TABLE,
) -> None:
    """Delete a replica's relationship and its volume with all that is on it. Never a primary, never a writable volume.

    Exit code 1: it may not be removed, or a call failed. 2: it wasn't named twice. 75: its cluster couldn't be
    looked at.
    """
    loaded = load_topology(topology)
    one = replica_named(loaded, replica)
    if one is None:
        names = [entry.name for entry in loaded.all_relationships()]
        raise typer.BadParameter(f"{replica} is no replica; there are: {', '.join(names) or 'none'}")
    if yes is not None and yes != replica:
        raise typer.BadParameter(f"--yes names {yes}, and --replica {replica}")

    def planner(world: World) -> Plan:
        return destruction(loaded, world, one)

    async def first_look(interruption: Interruption) -> int:
        found = await unless_interrupted(look(loaded, planner), interruption)
        if found is None:
            raise typer.Exit(interruption.exit_code)
        if dry_run or yes is None or not found.steps:
            print(json.dumps(found.as_json(), indent=2) if output is Output.JSON else "\n".join(_lines(found)))
        if dry_run or not found.steps:
            raise typer.Exit(plan_code(found))
        return exit_codes.OK

    async def main(interruption: Interruption) -> int:
        with ApplyScreen(table_console(), quiet=output is Output.JSON) as screen:
            outcome = await unless_interrupted(execute(loaded, planner, screen, _WITHIN_SECONDS), interruption)
        if outcome is None:
            return interruption.exit_code
        code = outcome_code(outcome)
        if output is Output.JSON:
            print(json.dumps(outcome_json(outcome), indent=2))
        elif code == exit_codes.OK:
            print(f"{replica} is gone: now take it out of the topology, or the next apply makes it again")
        else:
            print("\n".join([*map(difference_line, outcome.plan.differences), summary(outcome.plan)]))
        return code

    run_until_interrupted(first_look)
    if yes is None and _typed(replica) != replica:
        print("farshore: nothing was deleted: it takes the replica's name, typed or as --yes", file=sys.stderr)
        raise typer.Exit(exit_codes.USAGE)
    raise typer.Exit(run_until_interrupted(main))


def _typed(replica: str) -> str:
    return input(f"To delete all that is on it, type {replica}: ") if sys.stdin.isatty() else ""


def _lines(plan: Plan) -> list[str]:
    return list(plan_lines(plan)) if plan.pending or plan.differences else ["nothing to do: it isn't there"]
