"""`farshore check`: is the topology right, and is everything there that it names?"""

import asyncio
import json
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from farshore.topology import TopologyError, load_topology
from farshore_cli import exit_codes
from farshore_cli.check.connect import check_endpoints, check_services
from farshore_cli.check.finding import Finding, findings_json, findings_table
from farshore_cli.commands.kafka import kafka_bus
from farshore_cli.commands.options import Output, table_console


def _address(url: str) -> str:
    if not re.fullmatch(r"http://[^\s/?#@]+/?", url):
        raise typer.BadParameter("not a service's address: write http://HOST:PORT")
    return url.rstrip("/")


def check(
    topology: Annotated[Path, typer.Argument(help="The topology file.", show_default=False)],
    connect: Annotated[bool, typer.Option("--connect", help="Ask every endpoint too; changes nothing.")] = False,
    kafka: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT[,…]", envvar="FARSHORE_KAFKA_BOOTSTRAP_SERVERS", help="Kafka, for --connect."),
    ] = None,
    service: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL", parser=_address, help="Also ask this service whether it is ready; may be repeated."
        ),
    ] = None,
    output: Annotated[Output, typer.Option(help="For people or for programs.")] = Output.TABLE,
) -> None:
    """Check a topology file, and with --connect all clusters, volumes, relationships, registries and edges in it.

    Exit code 0: all is well. 1: something wasn't there or wasn't right. 78: the file is wrong.
    """
    console = table_console()
    try:
        loaded = load_topology(topology)
    except TopologyError as error:
        problems = [Finding("topology", problem, error.hint) for problem in error.problems]
        _show(console, output, topology, problems)
        raise typer.Exit(exit_codes.CONFIG) from None
    summary = f"sites: {', '.join(loaded.sites)}; registries: {', '.join(loaded.registries)}"
    findings = [Finding(f"topology {topology}", detail=summary)]
    if connect:
        findings += asyncio.run(check_endpoints(loaded, kafka_bus(kafka, "farshore-check") if kafka else None))
    if service:
        findings += asyncio.run(check_services(service))
    _show(console, output, topology, findings)
    raise typer.Exit(exit_codes.OK if all(finding.ok for finding in findings) else exit_codes.FAILED)


def _show(console: Console, output: Output, topology: Path, findings: list[Finding]) -> None:
    if output is Output.JSON:
        print(json.dumps(findings_json(str(topology), findings), indent=2))
    else:
        console.print(findings_table(findings))
