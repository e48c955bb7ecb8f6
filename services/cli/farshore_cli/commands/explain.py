"""`farshore explain IMAGE`: where an image is on its way to each site, and why it isn't ready there."""

import asyncio
import json
import sys
from dataclasses import replace
from typing import Annotated, Any

import typer

from farshore.bus.failures import KAFKA_FAILURES
from farshore.errors import FarshoreError, RetryClass
from farshore.records.cloudevent import format_time
from farshore.topology import Topology, load_topology
from farshore_cli import exit_codes
from farshore_cli.commands.image import Image, chosen_registry
from farshore_cli.commands.kafka import kafka_bus
from farshore_cli.commands.options import Kafka, Output, TopologyFile
from farshore_cli.deadletters.printable import printable
from farshore_cli.hops.ask import ask_coalescers
from farshore_cli.images.judge import AtSite, Known, Stage, judge
from farshore_cli.images.read import ImageReader

_LONGEST = 300
_HELP = {
    Stage.UNANNOUNCED: "farshore reconcile announces what notifications lost",
    Stage.FAILED: "see farshore deadletter list",
}


def explain(
    topology: TopologyFile,
    kafka: Kafka,
    image: Image,
    coalescer: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="Ask this coalescer why a site is behind; may be repeated.")
    ] = None,
    output: Annotated[Output, typer.Option(help="For people or for programs.")] = Output.TABLE,
) -> None:
    """Tell where an image is on its way to each site, with times, and why it isn't ready. Changes nothing.

    Exit code 0: it is ready at every site. 1: it isn't. 69: Kafka can't be reached.
    """
    model = load_topology(topology)
    registry = chosen_registry(model, image)
    known = Known(image)
    try:
        sites, problems = asyncio.run(_look(kafka, model, registry, known, coalescer or []))
    except KAFKA_FAILURES as error:
        print(f"farshore: Kafka: {str(error) or type(error).__name__}", file=sys.stderr)
        raise typer.Exit(exit_codes.UNAVAILABLE) from None
    except FarshoreError as error:
        if error.retry is not RetryClass.RETRY_SOON:
            raise
        print(f"farshore: {error}", file=sys.stderr)
        raise typer.Exit(exit_codes.UNKNOWN) from None
    if output is Output.JSON:
        print(json.dumps(_document(model, registry, known, sites), indent=2))
    else:
        print("\n".join(_lines(model, registry, known, sites)))
    for problem in problems:
        print(f"farshore: unknown: {problem}", file=sys.stderr)
    ready = all(one.stage is Stage.READY for one in sites.values())
    raise typer.Exit(exit_codes.OK if ready else exit_codes.FAILED)


async def _look(
    kafka: str, model: Topology, registry: str, known: Known, coalescers: list[str]
) -> tuple[dict[str, AtSite], list[str]]:
    relationships = model.relationships(registry)
    async with ImageReader(kafka_bus(kafka, "farshore-explain"), registry, [known]) as reader:
        await reader.read()
        await reader.read_ways(relationships)
    said, problems = await ask_coalescers(coalescers)
    sites = {}
    for one in relationships:
        found = judge(known, one.site)
        asked = said.get(one.name)
        if found.stage is Stage.WAITING and asked is not None and asked.why_behind:
            found = replace(found, why=f"{found.why}; {asked.why_behind}")
        sites[one.site] = found
    return sites, problems


def _document(model: Topology, registry: str, known: Known, sites: dict[str, AtSite]) -> dict[str, Any]:
    announced = known.announced
    return {
        "image": str(known.wanted),
        "registry": registry,
        "primary": model.registries[registry].primary.site,
        "event": None
        if announced is None
        else {
            "offset": announced.offset,
            "kind": str(announced.event.kind),
            "digest": announced.event.digest,
            "pushed_at": format_time(announced.event.occurred_at),
            "accepted_at": format_time(announced.event.accepted_at),
        },
        "sites": {site: one.as_json() for site, one in sites.items()},
    }


def _lines(model: Topology, registry: str, known: Known, sites: dict[str, AtSite]) -> list[str]:
    lines = [f"{known.wanted}, of registry {registry}, written at {model.registries[registry].primary.site}"]
    if (announced := known.announced) is not None:
        event = announced.event
        lines.append(f"  {event.kind} {event.digest or ''} at {format_time(event.occurred_at)} by the registry's clock")
        lines.append(f"  accepted at {format_time(event.accepted_at)}: offset {announced.offset} of the log")
    for site, one in sites.items():
        helps = f" ({_HELP[one.stage]})" if one.stage in _HELP else ""
        lines.append(f"{site}: {one.stage}{f': {printable(one.why, _LONGEST)}' if one.why else ''}{helps}")
        told = one.as_json()
        for key, words in (
            ("transferred_at", f"transfer {told['transfer']} ended at"),
            ("arrived_at", f"arrived, by snapshot {told['snapshot']}, at"),
            (
                "decided_at",
                f"the verifier decided it{f' by {one.told.level}' if one.told and one.told.level else ''} at",
            ),
        ):
            if told[key]:
                lines.append(f"  {words} {told[key]}")
    return lines
