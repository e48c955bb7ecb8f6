"""`farshore status`: every hop, how far it lags, what it costs, what troubles it."""

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from farshore.bus.clients import Bus
from farshore.bus.failures import KAFKA_FAILURES
from farshore.errors import ConfigurationError, FarshoreError
from farshore.topology import Relationship, load_topology
from farshore_cli import exit_codes
from farshore_cli.commands.kafka import kafka_bus
from farshore_cli.commands.options import Kafka, Output, TopologyFile, seconds_of, table_console
from farshore_cli.hops.ask import ask_coalescers
from farshore_cli.hops.hop import HEADINGS, Hop, Lag, Traffic, all_known, hops_of
from farshore_cli.hops.read import read_lags, read_traffic

_KAFKA_SECONDS = 30.0
_STYLES = {"ok": "green", "behind": "yellow", "trouble": "red", "unknown": "magenta"}


def status(
    topology: TopologyFile,
    kafka: Kafka,
    coalescer: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="Ask this coalescer why a site is behind; may be repeated.")
    ] = None,
    within: Annotated[
        float, typer.Option(parser=seconds_of, metavar="DURATION", help="Transfers of so long count.")
    ] = "24h",  # type: ignore[assignment]
    output: Annotated[Output, typer.Option(help="For people or for programs.")] = Output.TABLE,
) -> None:
    """Show every hop of the distribution: lag, transfers, bytes, and what troubles it. Changes nothing.

    0: no hop is known to be in trouble. 1: one is. 75: something couldn't be found out.
    """
    model = load_topology(topology)
    hops, problems = asyncio.run(
        _look(kafka_bus(kafka, "farshore-status"), model.all_relationships(), coalescer or [], within)
    )
    if output is Output.JSON:
        told = {"hops": [hop.as_json() for hop in hops], "within_seconds": within, "unknown": problems}
        print(json.dumps(told, indent=2))
    else:
        table_console().print(_table(hops))
        for problem in problems:
            print(f"farshore: unknown: {problem}", file=sys.stderr)
    raise typer.Exit(_exit_code(hops, problems))


async def _look(
    bus: Bus, relationships: list[Relationship], coalescers: list[str], within: float
) -> tuple[list[Hop], list[str]]:
    lags: dict[str, Lag] = {}
    traffic: dict[str, Traffic] | None = None
    said, problems = await ask_coalescers(coalescers)
    try:
        async with asyncio.timeout(_KAFKA_SECONDS):
            lags = await read_lags(bus, relationships)
            traffic = await read_traffic(bus, within)
    except ConfigurationError:
        raise
    except (FarshoreError, *KAFKA_FAILURES) as error:
        problems.append(f"Kafka: {str(error) or type(error).__name__}")
    return hops_of(relationships, lags, traffic, said), problems


def _exit_code(hops: list[Hop], problems: list[str]) -> int:
    if any(hop.state == "trouble" for hop in hops):
        return exit_codes.FAILED
    return exit_codes.UNKNOWN if problems or not all_known(hops) else exit_codes.OK


def _table(hops: list[Hop]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold")
    now = datetime.now(UTC)
    for hop in hops:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in hop.row(now)))
    return table
