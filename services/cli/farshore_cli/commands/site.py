"""`farshore site`: a site comes to a running distribution, or leaves it."""

import logging
import time
from typing import Annotated, Any

import typer

from farshore.topology import Topology, load_topology
from farshore_cli import exit_codes
from farshore_cli.applying.facts import World
from farshore_cli.applying.run import look, outcome_code, outcome_json, plan_code
from farshore_cli.applying.show import plan_lines
from farshore_cli.applying.steps import Plan
from farshore_cli.commands.carrying import Planner, Say, Within, Work, carry_out, run_told
from farshore_cli.commands.kafka import kafka_bus
from farshore_cli.commands.options import Kafka, Output, TopologyFile, VolumeSize, seconds_of
from farshore_cli.sites.fill import fill
from farshore_cli.sites.plan import arrival, departure, replicas_at
from farshore_cli.sites.readiness import ready_images, revoke
from farshore_cli.sites.taken_out import until_nobody_verifies, until_taken_out

site = typer.Typer(no_args_is_help=True, help="Add a site to a running distribution, or remove one.")

Site = Annotated[str, typer.Argument(metavar="SITE", help="Its name in the topology.", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the calls; change nothing.")]
Format = Annotated[Output, typer.Option(help="For people or for programs.")]


@site.command()
def add(
    name: Site,
    topology: TopologyFile,
    kafka: Kafka,
    within: Within = "1d",  # type: ignore[assignment]
    volume_size: VolumeSize = "1TiB",  # type: ignore[assignment]
    grace: Annotated[
        float, typer.Option(parser=seconds_of, metavar="DURATION", help="Between the two looks of the backfill.")
    ] = "2m",  # type: ignore[assignment]
    dry_run: DryRun = False,
    output: Format = Output.TABLE,
) -> None:
    """Make the storage of a site that is in the topology file, and get ready there what was pushed before.

    The other sites go on. It can be ended and run again. Exit code 1: a call failed, a person has to act, or the
    verifier gave images up. 75: not at its end within the time.
    """
    loaded = load_topology(topology)
    replicas = replicas_at(loaded, name)
    if not replicas:
        raise typer.BadParameter(f"the topology has no replica at {name}: add it to {topology} first")
    registries = [one.registry for one in replicas]

    def planner(world: World) -> Plan:
        return arrival(loaded, world, name, volume_size)

    async def main(say: Say) -> tuple[int, dict[str, Any]]:
        ends = time.monotonic() + within
        outcome = await carry_out(loaded, planner, within, output)
        document = {"storage": outcome_json(outcome)}
        if (code := outcome_code(outcome)) != exit_codes.OK:
            return code, document
        logging.getLogger("farshore_reconciler").setLevel(logging.CRITICAL)  # what it says is told
        left = max(0.0, ends - time.monotonic())
        bus = kafka_bus(kafka, "farshore-site")
        filled = await fill(bus, loaded, name, registries, grace=grace, within=left, tell=say)
        document["readiness"] = filled.as_json()
        for line in filled.unknown:
            say(f"unknown: {line}")
        if any(filled.undecided.values()):
            say("not at its end: has every service this topology file? Run it again to go on waiting")
            return exit_codes.UNKNOWN, document
        if filled.unknown:
            return exit_codes.UNKNOWN, document
        if any(filled.given_up.values()):
            say(f"the verifier gave images up at {name}: see farshore deadletter list")
            return exit_codes.FAILED, document
        say(f"{name} has everything")
        return exit_codes.OK, document

    _run(loaded, planner, main, output, dry_run=dry_run)


@site.command()
def remove(
    name: Site,
    topology: TopologyFile,
    kafka: Kafka,
    delete_data: Annotated[
        str | None,
        typer.Option(metavar="SITE", help="The same name again: delete its volumes too, with all their data."),
    ] = None,
    within: Within = "1h",  # type: ignore[assignment]
    dry_run: DryRun = False,
    output: Format = Output.TABLE,
) -> None:
    """End the replication to a site, wait until it is out of the topology file, and revoke what was ready there.

    The other sites go on. It can be ended and run again. Exit code 1: a replica there may not go, or a call failed.
    75: the site isn't out of the topology, or is still verified, within the time.
    """
    if delete_data is not None and delete_data != name:
        raise typer.BadParameter(f"--delete-data names {delete_data}, and the site is {name}")
    loaded = load_topology(topology)

    def planner(world: World) -> Plan:
        return departure(loaded, world, name, delete_data=delete_data is not None)

    async def main(say: Say) -> tuple[int, dict[str, Any]]:
        ends = time.monotonic() + within
        document: dict[str, Any] = {"storage": None, "revoked": 0}
        if replicas_at(loaded, name):
            outcome = await carry_out(loaded, planner, within, output)
            document["storage"] = outcome_json(outcome)
            if (code := outcome_code(outcome)) != exit_codes.OK:
                return code, document
            say(f"nothing is replicated to {name} any more: now take it out of {topology}")
        if not await until_taken_out(topology, name, ends):
            say(f"{topology} still has replicas at {name}: take them out, and run it again")
            return exit_codes.UNKNOWN, document
        bus = kafka_bus(kafka, "farshore-site")
        if not await until_nobody_verifies(bus, name, ends):
            say(f"a verifier still works for {name}: has every one this topology file? Run it again then")
            return exit_codes.UNKNOWN, document
        ready = await ready_images(bus, name, lambda _statement: True)
        document["revoked"] = await revoke(bus, ready, f"site {name} was removed")
        say(f"{document['revoked']} images that were ready at {name} are revoked: it is gone")
        return exit_codes.OK, document

    _run(loaded, planner if name in loaded.sites else None, main, output, dry_run=dry_run)


def _run(topology: Topology, planner: Planner | None, work: Work, output: Output, *, dry_run: bool) -> None:
    """A dry run shows what would be called; else `work` is done."""

    async def shown(say: Say) -> tuple[int, dict[str, Any]]:
        found = Plan() if planner is None else await look(topology, planner)
        say("\n".join(plan_lines(found)))
        return plan_code(found), {"storage": found.as_json()}

    raise typer.Exit(run_told(shown if dry_run else work, output)[0])
