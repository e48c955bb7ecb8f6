"""`farshore fence`: no snapshot of a registry's volume is taken while its garbage collector runs."""

import json
import sys
from typing import Annotated

import typer
from rich.table import Table

from farshore.bus.clients import Bus
from farshore.bus.failures import KAFKA_FAILURES
from farshore.bus.topics import create_missing_topics
from farshore.errors import ConfigurationError, FarshoreError
from farshore.records.fences import LONGEST_SECONDS
from farshore.topology import load_topology
from farshore_cli import exit_codes
from farshore_cli.commands.kafka import kafka_bus
from farshore_cli.commands.options import Kafka, Output, Replication, TopologyFile, seconds_of, table_console
from farshore_cli.commands.running import Interruption, run_until_interrupted
from farshore_cli.fences.find import Standing, fences_up
from farshore_cli.fences.hold import Wanted
from farshore_cli.fences.raise_and_lift import Fence


def fence(
    topology: TopologyFile,
    kafka: Kafka,
    registry: Annotated[str | None, typer.Argument(help="Whose volume; all fences are listed without it.")] = None,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[-- COMMAND]...", help="Run this behind the fence, then lift it.")
    ] = None,
    limit: Annotated[
        float, typer.Option("--for", parser=seconds_of, metavar="DURATION", help="After this it lets go by itself.")
    ] = "30m",  # type: ignore[assignment]
    reason: Annotated[str, typer.Option(help="For people: why.")] = "garbage collection",
    within: Annotated[
        float, typer.Option(parser=seconds_of, metavar="DURATION", help="How long the coalescer may take to answer.")
    ] = "60s",  # type: ignore[assignment]
    lift: Annotated[bool, typer.Option("--lift", help="Lift the registry's fences.")] = False,
    only: Annotated[str | None, typer.Option("--id", metavar="FENCE", help="With --lift: only this one.")] = None,
    replication: Replication = -1,
    output: Annotated[Output, typer.Option(help="For people or for programs.")] = Output.TABLE,
) -> None:
    """Hold snapshots of a registry's volume while its garbage collector runs.

    With a command: its exit code. 75: no coalescer said in time that the fence holds; nothing was run.
    124: the command was ended, because the fence's time was over.
    """
    names = list(load_topology(topology).registries)
    bus = kafka_bus(kafka, "farshore-fence", replication)
    if registry is not None and registry not in names:
        raise typer.BadParameter(f"{registry} is no registry of the topology; there are: {', '.join(names)}")
    if (lift and command) or (only is not None and not lift):
        raise typer.BadParameter("--lift takes no command, and --id goes with --lift")
    if not 4 <= limit <= LONGEST_SECONDS:
        raise typer.BadParameter("a fence lasts between 4 seconds and a day", param_hint="--for")

    async def work(interruption: Interruption) -> int:
        await create_missing_topics(bus)
        if registry is None:
            return await _list(bus, names, output)
        if lift:
            return await _lift(bus, registry, only)
        return await Wanted(bus, registry, int(limit), reason, within, command or []).hold(interruption)

    async def main(interruption: Interruption) -> int:
        try:
            return await work(interruption)
        except ConfigurationError:
            raise
        except (FarshoreError, *KAFKA_FAILURES) as error:
            print(f"farshore: Kafka: {str(error) or type(error).__name__}", file=sys.stderr)
            return exit_codes.UNAVAILABLE

    raise typer.Exit(run_until_interrupted(main))


async def _lift(bus: Bus, registry: str, only: str | None) -> int:
    up = [standing for standing in await fences_up(bus, [registry]) if only in (None, standing.raised.fence)]
    if not up:
        which = "no fence" if only is None else f"not {only}"
        print(f"farshore: {which} of {registry} is up", file=sys.stderr)
        return exit_codes.FAILED
    code = exit_codes.OK
    for standing in up:
        async with Fence(bus, registry, standing.raised.fence) as raised:
            lifted = await raised.lift()
        print(f"{standing.raised.fence}: {'lifted' if lifted else 'not lifted, Kafka does not answer'}")
        code = code if lifted else exit_codes.UNAVAILABLE
    return code


async def _list(bus: Bus, registries: list[str], output: Output) -> int:
    up = await fences_up(bus, registries)
    if output is Output.JSON:
        print(json.dumps({"fences": [standing.as_json() for standing in up]}))
    elif up:
        table_console().print(_table(up))
    else:
        print("no fence is up")
    return exit_codes.OK


def _table(up: list[Standing]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("registry", "fence", "state", "raised", "limit", "reason"):
        table.add_column(heading)
    for standing in up:
        raised = standing.raised
        since = f"{raised.at:%Y-%m-%d %H:%M:%SZ}"
        table.add_row(raised.registry, raised.fence, standing.state, since, f"{raised.limit_seconds} s", raised.reason)
    return table
