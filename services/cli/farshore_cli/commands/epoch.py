"""`farshore epoch REGISTRY --at SITE`: whether the site may still take the registry's writes."""

import asyncio
import json
from typing import Annotated

import typer

from farshore.topology import Topology, load_topology
from farshore_cli import exit_codes
from farshore_cli.applying.facts import Unseen
from farshore_cli.commands.options import Output, TopologyFile
from farshore_cli.moving.ask import Asker
from farshore_cli.moving.facts import EdgeSeen
from farshore_cli.moving.standing import Standing, standing_of

_CODES = {
    Standing.PRIMARY: exit_codes.OK,
    Standing.FENCED: exit_codes.FAILED,
    Standing.UNKNOWN: exit_codes.UNKNOWN,
}


def epoch(
    topology: TopologyFile,
    registry: Annotated[str, typer.Argument(help="Which registry.", show_default=False)],
    at: Annotated[str, typer.Option("--at", metavar="SITE", help="The site that would take writes.")],
    output: Annotated[Output, typer.Option(help="For people or for programs.")] = Output.TABLE,
) -> None:
    """Say whether SITE may take REGISTRY's writes: run it before a primary's registry is started.

    Exit code 0: it may. 1: another site is the primary by now. 75: too few edges answer to be sure.
    """
    model = load_topology(topology)
    entry = model.registries.get(registry)
    if entry is None:
        raise typer.BadParameter(f"the topology has no registry {registry}", param_hint="REGISTRY")
    if at not in model.sites:
        raise typer.BadParameter(f"the topology has no site {at}", param_hint="--at")
    standing, why = standing_of(entry, at, asyncio.run(_ask(model, registry, at)))
    if output is Output.JSON:
        print(json.dumps({"may_write": standing is Standing.PRIMARY, "standing": standing.name.lower(), "why": why}))
    else:
        print(f"{registry} at {at}: {standing.name.lower()}: {why}")
    raise typer.Exit(_CODES[standing])


async def _ask(model: Topology, registry: str, at: str) -> dict[str, EdgeSeen | Unseen]:
    edges = {name: site.edge for name, site in model.sites.items() if site.edge is not None and name != at}
    async with Asker() as asker:
        answers = await asyncio.gather(*(asker.edge(name, edge, registry) for name, edge in edges.items()))
    return dict(zip(edges, answers, strict=True))
