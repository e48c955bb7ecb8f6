"""`farshore rollback`: a replica goes back to an earlier snapshot, and stays there until it is released."""

import sys
from typing import Annotated, Any

import typer

from farshore.bus.clients import Bus
from farshore.topology import Topology, load_topology
from farshore.topology.model import Relationship
from farshore_cli import exit_codes
from farshore_cli.applying.facts import World
from farshore_cli.applying.run import look, outcome_code, outcome_json, plan_code
from farshore_cli.applying.show import plan_lines
from farshore_cli.applying.steps import Plan
from farshore_cli.commands.carrying import Say, Within, carry_out, run_told
from farshore_cli.commands.kafka import kafka_bus
from farshore_cli.commands.options import Kafka, Output, TopologyFile
from farshore_cli.rolling.look import NoWayBackError, ask_for_reconcile, find_target, revoke_what_vanished
from farshore_cli.rolling.plan import going_back, letting_go, vanishes
from farshore_cli.sites.plan import replicas_at
from farshore_cli.sites.readiness import ready_images

_SHOWN = 20


def rollback(
    site: Annotated[str, typer.Argument(metavar="SITE", help="Whose replica.", show_default=False)],
    topology: TopologyFile,
    kafka: Kafka,
    registry: Annotated[
        str | None, typer.Argument(metavar="[REGISTRY]", help="Of which registry, where the site has several.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="SNAPSHOT|last-verified", help="Where to: an earlier snapshot of it.")
    ] = None,
    release: Annotated[bool, typer.Option("--release", help="Let it follow its source again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done; change nothing.")] = False,
    yes: Annotated[
        str | None, typer.Option(metavar="REGISTRY.SITE", help="The replica's name, in place of being asked for it.")
    ] = None,
    within: Within = "10m",  # type: ignore[assignment]
    output: Annotated[Output, typer.Option(help="For people or for programs.")] = Output.TABLE,
) -> None:
    """Bring a replica back to an earlier snapshot, revoke what isn't in it, and hold it there until --release.

    It can be ended and run again. Exit code 1: there is no such snapshot, or a call failed. 2: the replica wasn't
    named twice. 75: its cluster couldn't be looked at, or it isn't at its end.
    """
    if (to is None) != release:
        raise typer.BadParameter("say one of --to SNAPSHOT, --to last-verified, --release")
    loaded = load_topology(topology)
    one = _replica(loaded, site, registry)
    if yes is not None and yes != one.name:
        raise typer.BadParameter(f"--yes names {yes}, and the replica is {one.name}")
    bus = kafka_bus(kafka, "farshore-rollback")

    async def first(say: Say) -> tuple[int, dict[str, Any]]:
        return await _preview(loaded, bus, one, to, say)

    code, document = run_told(first, output, tells_programs=dry_run)
    if dry_run or code != exit_codes.OK:
        raise typer.Exit(code)
    if yes is None and _typed(one.name) != one.name:
        print("farshore: nothing was changed: it takes the replica's name, typed or as --yes", file=sys.stderr)
        raise typer.Exit(exit_codes.USAGE)

    async def work(say: Say) -> tuple[int, dict[str, Any]]:
        if to is None:
            return await _let_go(loaded, bus, one, within, output, say)
        return await _go_back(loaded, bus, one, document["snapshot"], within, output, say)

    raise typer.Exit(run_told(work, output)[0])


def _replica(topology: Topology, site: str, registry: str | None) -> Relationship:
    there = replicas_at(topology, site)
    found = [one for one in there if registry in (None, one.registry)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(one.registry for one in there) or "none"
    raise typer.BadParameter(f"name one registry that {site} has a replica of; there are: {names}")


def _typed(name: str) -> str:
    return input(f"To go on, type {name}: ") if sys.stdin.isatty() else ""


async def _preview(
    topology: Topology, bus: Bus, one: Relationship, to: str | None, say: Say
) -> tuple[int, dict[str, Any]]:
    """What would be called, and what would vanish."""
    if to is None:
        plan = await look(topology, lambda world: letting_go(world, one))
        say("\n".join(plan_lines(plan)))
        return plan_code(plan), {"storage": plan.as_json()}
    ready = await ready_images(bus, one.site, lambda statement: statement.registry == one.registry)
    try:
        target = await find_target(topology, one, to, {statement.snapshot_version or "" for statement in ready})
    except NoWayBackError as error:
        say(f"{one.name}: {error}")
        return exit_codes.FAILED, {"snapshot": None, "reason": str(error)}
    plan = await look(topology, lambda world: going_back(world, one, target.name))
    gone = sorted(statement.image for statement in ready if vanishes(statement, target.name))
    say("\n".join(plan_lines(plan)))
    say(f"{one.name} goes back to {target.name} of {target.create_time:%Y-%m-%d %H:%M:%S} UTC, by the source's clock")
    say(f"{len(ready) - len(gone)} images stay ready at {one.site}, {len(gone)} are revoked there")
    for image in gone[:_SHOWN]:
        say(f"  revoked: {image}")
    if len(gone) > _SHOWN:
        say(f"  and {len(gone) - _SHOWN} more")
    document = {"snapshot": target.name, "storage": plan.as_json(), "stay": len(ready) - len(gone), "revoked": gone}
    return plan_code(plan), document


async def _go_back(
    topology: Topology, bus: Bus, one: Relationship, target: str, within: float, output: Output, say: Say
) -> tuple[int, dict[str, Any]]:
    def planner(world: World) -> Plan:
        return going_back(world, one, target)

    outcome = await carry_out(topology, planner, within, output)
    document: dict[str, Any] = {"snapshot": target, "storage": outcome_json(outcome)}
    if (code := outcome_code(outcome)) != exit_codes.OK:
        return code, document
    document["revoked"] = await revoke_what_vanished(bus, one, target)
    say(f"{one.name} is at {target}; {document['revoked']} images were revoked")
    say(f"it stays there: nothing is transferred until farshore rollback {one.site} {one.registry} --release")
    return exit_codes.OK, document


async def _let_go(
    topology: Topology, bus: Bus, one: Relationship, within: float, output: Output, say: Say
) -> tuple[int, dict[str, Any]]:
    def planner(world: World) -> Plan:
        return letting_go(world, one)

    outcome = await carry_out(topology, planner, within, output)
    document: dict[str, Any] = {"storage": outcome_json(outcome)}
    if (code := outcome_code(outcome)) != exit_codes.OK:
        return code, document
    await ask_for_reconcile(bus, one)
    say(f"{one.name} follows its source again; a reconcile announces what was revoked there")
    return exit_codes.OK, document
