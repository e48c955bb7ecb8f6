"""`farshore plan`: what would `farshore apply` do?"""

import json
from pathlib import Path
from typing import Annotated

import typer

from farshore.topology import load_topology
from farshore_cli import exit_codes
from farshore_cli.applying.plan import plan as planned
from farshore_cli.applying.run import look, plan_code
from farshore_cli.applying.show import plan_lines
from farshore_cli.commands.options import Output, VolumeSize
from farshore_cli.commands.running import Interruption, run_until_interrupted, unless_interrupted


def plan(
    topology: Annotated[Path, typer.Argument(help="The topology file.", show_default=False)],
    detailed: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit code 3 when there is something to do.")
    ] = False,
    volume_size: VolumeSize = "1TiB",  # type: ignore[assignment]
    output: Annotated[Output, typer.Option(help="For people or for programs.")] = Output.TABLE,
) -> None:
    """Show each call that apply would make, and what differs from the topology. Changes nothing.

    Exit code 1: a person has to act. 3: see --detailed-exitcode. 75: a cluster couldn't be looked at.
    """
    loaded = load_topology(topology)

    async def main(interruption: Interruption) -> int:
        found = await unless_interrupted(look(loaded, lambda world: planned(loaded, world, volume_size)), interruption)
        if found is None:
            return interruption.exit_code
        if output is Output.JSON:
            print(json.dumps(found.as_json(), indent=2))
        else:
            print("\n".join(plan_lines(found)))
        code = plan_code(found)
        return exit_codes.PENDING if code == exit_codes.OK and detailed and found.pending else code

    raise typer.Exit(run_until_interrupted(main))
