"""`farshore apply`: make storage what the topology says."""

import json
from pathlib import Path
from typing import Annotated

import typer

from farshore.topology import load_topology
from farshore_cli.applying.files import site_files, write_files
from farshore_cli.applying.plan import plan as planned
from farshore_cli.applying.run import execute, outcome_code, outcome_json
from farshore_cli.applying.screen import ApplyScreen
from farshore_cli.applying.show import difference_line, step_lines, summary
from farshore_cli.commands.options import Output, VolumeSize, seconds_of, table_console
from farshore_cli.commands.running import Interruption, run_until_interrupted, unless_interrupted
from farshore_edge.runtime import Runtime

_HOLD_DIR = Runtime().hold_dir


def apply(
    topology: Annotated[Path, typer.Argument(help="The topology file.", show_default=False)],
    within: Annotated[
        float, typer.Option(parser=seconds_of, metavar="DURATION", help="How long to wait for baselines.")
    ] = "1d",  # type: ignore[assignment]
    volume_size: VolumeSize = "1TiB",  # type: ignore[assignment]
    files: Annotated[
        Path | None, typer.Option(file_okay=False, help="Write edge rules and registry settings into this folder.")
    ] = None,
    receiver: Annotated[str, typer.Option(metavar="URL", help="The receiver, for --files.")] = "",
    hold_dir: Annotated[
        Path, typer.Option(help="Where a file holds a registry's writes at the edges, for --files.")
    ] = _HOLD_DIR,
    output: Annotated[Output, typer.Option(help="For people or for programs.")] = Output.TABLE,
) -> None:
    """Make the volumes, policies, relationships and baselines that the topology names. Deletes nothing.

    It can be ended and run again at any time. Exit code 1: a call failed, or a person has to act. 75: a cluster
    couldn't be looked at, or baselines still run.
    """
    if files is not None and not receiver.startswith(("http://", "https://")):
        raise typer.BadParameter("--files needs --receiver, the http(s) address that registries post to")
    loaded = load_topology(topology)
    contents = {} if files is None else site_files(loaded, receiver.rstrip("/"), hold_dir)

    async def main(interruption: Interruption) -> int:
        with ApplyScreen(table_console(), quiet=output is Output.JSON) as screen:
            work = execute(loaded, lambda world: planned(loaded, world, volume_size), screen, within)
            outcome = await unless_interrupted(work, interruption)
        if outcome is None:
            return interruption.exit_code
        written = [] if files is None else write_files(files, contents)
        if output is Output.JSON:
            print(json.dumps(outcome_json(outcome) | {"files": [str(path) for path in written]}, indent=2))
        else:
            lines = [line for step in outcome.plan.steps for line in step_lines("left:", step)]
            lines += [difference_line(one) for one in outcome.plan.differences]
            lines += [f"wrote {path}" for path in written]
            print("\n".join([*lines, summary(outcome.plan)]))
        return outcome_code(outcome)

    raise typer.Exit(run_until_interrupted(main))
