"""`farshore wait IMAGE`: ends when an image is ready at the sites that are asked for."""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Annotated

import typer

from farshore.bus.clients import Bus
from farshore.bus.failures import KAFKA_FAILURES
from farshore.errors import FarshoreError, RetryClass
from farshore.topology import load_topology
from farshore.topology.model import VerificationLevel
from farshore_cli import exit_codes
from farshore_cli.commands.image import Image, chosen_registry
from farshore_cli.commands.kafka import kafka_bus
from farshore_cli.commands.options import Kafka, Output, TopologyFile, seconds_of
from farshore_cli.commands.running import Interruption, run_until_interrupted, unless_interrupted
from farshore_cli.deadletters.printable import printable
from farshore_cli.images.judge import AtSite, Known, judge
from farshore_cli.images.read import ImageReader
from farshore_cli.images.waited import Goal, Verdict, goal_of, verdict

LOOK_SECONDS = 0.25
_LONGEST = 300


def wait(
    topology: TopologyFile,
    kafka: Kafka,
    image: Image,
    sites: Annotated[
        str, typer.Option(metavar="all|any|N|SITE,…", help="Where: all replicas, any, so many, or those named.")
    ] = "all",
    level: Annotated[VerificationLevel | None, typer.Option(help="What has to be proved at the least.")] = None,
    timeout: Annotated[float, typer.Option(parser=seconds_of, metavar="DURATION", help="How long to wait.")] = "10m",  # type: ignore[assignment]
    output: Annotated[Output, typer.Option(help="For people or for programs.")] = Output.TABLE,
) -> None:
    """Wait until an image is ready. By its tag alone it is whatever was announced last under that tag.

    Exit code 0: it is. 1: it won't be by itself any more: given up, deleted, or another image's tag by now.
    124: the time is over. 69: Kafka can't be reached.
    """
    model = load_topology(topology)
    registry = chosen_registry(model, image)
    try:
        goal = goal_of(sites, [one.site for one in model.relationships(registry)], level)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--sites") from None
    bus, known = kafka_bus(kafka, "farshore-wait"), Known(image)

    def show(line: str) -> None:
        if output is not Output.JSON:
            print(line, flush=True)

    async def main(interruption: Interruption) -> int:
        code = await unless_interrupted(_until(bus, registry, known, goal, timeout, show), interruption)
        return interruption.exit_code if code is None else code

    try:
        code = run_until_interrupted(main)
    except KAFKA_FAILURES as error:
        print(f"farshore: Kafka: {str(error) or type(error).__name__}", file=sys.stderr)
        code = exit_codes.UNAVAILABLE
    except FarshoreError as error:
        if error.retry is not RetryClass.RETRY_SOON:
            raise
        print(f"farshore: {error}", file=sys.stderr)
        code = exit_codes.UNKNOWN
    if output is Output.JSON:
        found = {site: judge(known, site).as_json() for site in goal.sites}
        print(json.dumps({"image": str(image), "ready": code == exit_codes.OK, "sites": found}, indent=2))
    raise typer.Exit(code)


async def _until(
    bus: Bus, registry: str, known: Known, goal: Goal, timeout_seconds: float, show: Callable[[str], None]
) -> int:
    ends, told = time.monotonic() + timeout_seconds, dict.fromkeys(goal.sites, "")
    async with ImageReader(bus, registry, [known]) as reader:
        while True:
            await reader.read()
            found = {site: judge(known, site) for site in goal.sites}
            for site, one in found.items():
                if told[site] != (line := _line(site, one)):
                    told[site] = line
                    show(line)
            match verdict(goal, found):
                case Verdict.SO:
                    return exit_codes.OK
                case Verdict.NOT_SO:
                    return exit_codes.FAILED
            if time.monotonic() >= ends:
                show(f"not ready after {timeout_seconds:g} s; farshore explain tells more")
                return exit_codes.OUT_OF_TIME
            await asyncio.sleep(LOOK_SECONDS)


def _line(site: str, one: AtSite) -> str:
    return f"{site}: {one.stage}{f': {printable(one.why, _LONGEST)}' if one.why else ''}"
