"""`farshore move REGISTRY --to SITE`: another site becomes the one where a registry is written."""

import json
import logging
import secrets
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated

import typer

from farshore.errors import ConfigurationError, FarshoreError
from farshore.topology import load_topology
from farshore_cli import exit_codes
from farshore_cli.applying.show import difference_line
from farshore_cli.applying.steps import Consequence
from farshore_cli.commands.kafka import kafka_bus
from farshore_cli.commands.options import Kafka, Output, Replication, TopologyFile, seconds_of, table_console
from farshore_cli.commands.running import Interruption, run_until_interrupted, unless_interrupted
from farshore_cli.moving.command import command_runner
from farshore_cli.moving.plan import Intent
from farshore_cli.moving.run import MoveOutcome, Mover, Request, opened_mover
from farshore_cli.moving.screen import PlainMoveScreen
from farshore_cli.moving.show import loss_lines, plan_lines
from farshore_cli.moving.steps import MovePlan


def move(
    topology: TopologyFile,
    kafka: Kafka,
    registry: Annotated[str, typer.Argument(help="Which registry.", show_default=False)],
    to: Annotated[str, typer.Option("--to", metavar="SITE", help="Its new primary.", show_default=False)],
    hold_dir: Annotated[
        str,
        typer.Option(metavar="DIR", help="Where edges look for hold files; {site} stands for the edge's site."),
    ] = "/run/farshore-holds",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show every step; do none.")] = False,
    abort: Annotated[bool, typer.Option("--abort", help="Go back: possible until the topology is switched.")] = False,
    hold_at_most: Annotated[
        float, typer.Option(parser=seconds_of, metavar="DURATION", help="Give up where writes were held for so long.")
    ] = "10m",  # type: ignore[assignment]
    behind_at_most: Annotated[
        int, typer.Option(min=0, metavar="N", help="Hold writes once the target has so few images left to verify.")
    ] = 100,
    despite_unready: Annotated[
        bool, typer.Option("--despite-unready", help="Move although the target doesn't have every image.")
    ] = False,
    promote: Annotated[
        str,
        typer.Option(
            metavar="COMMAND",
            help="Has the registry at SITE take writes and post notifications; run when its volume is writable.",
        ),
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="The primary is lost: move without it, and say what is lost.")
    ] = False,
    discard: Annotated[
        str, typer.Option(metavar="SITE", help="Make a primary that was given up a replica: what only it has is lost.")
    ] = "",
    within: Annotated[
        float, typer.Option(parser=seconds_of, metavar="DURATION", help="How long all of it may take.")
    ] = "1h",  # type: ignore[assignment]
    replication: Replication = -1,
    output: Annotated[Output, typer.Option(help="For people or for programs.")] = Output.TABLE,
) -> None:
    """Move a registry's primary to a site that has a replica of it; nothing is lost, and no pull fails.

    It can be ended and run again at any time. Exit code 0: it is there (with --abort: all is as before). 1: a step
    failed, or a person has to act. 75: something couldn't be looked at, or it was given up in time; run it again.
    """
    logging.getLogger("farshore_reconciler").setLevel(logging.CRITICAL)  # what is read is told here
    entry = load_topology(topology).registries.get(registry)
    if entry is None:
        raise typer.BadParameter(f"the topology has no registry {registry}", param_hint="REGISTRY")
    if entry.primary.site != to and entry.replica(to) is None:
        there = ", ".join(one.site for one in entry.replicas)
        raise typer.BadParameter(f"{to} has no replica of {registry}; there are: {there or 'none'}", param_hint="--to")
    intent = Intent(
        registry,
        to,
        secrets.token_hex(8),
        longest_hold=timedelta(seconds=hold_at_most),
        behind_at_most=behind_at_most,
        despite_unready=despite_unready,
        abort=abort,
        has_promotion=bool(promote),
        force=force,
        discard=discard,
    )
    bus = kafka_bus(kafka, "farshore-move", replication)
    command = command_runner(promote, {"registry": registry, "site": to}) if promote else None
    request = Request(topology, bus, intent, hold_dir, command)

    async def look(mover: Mover) -> int:
        plan = await mover.look()
        loss = mover.outcome.loss
        if output is Output.JSON:
            print(json.dumps(plan.as_json() | {"loss": loss.as_json() if loss else None}, indent=2))
        else:
            print("\n".join([*plan_lines(plan), *loss_lines(loss)]))
        return plan_code(plan)

    async def carry_out(mover: Mover) -> int:
        outcome = await mover.run(PlainMoveScreen(table_console(), quiet=output is Output.JSON), within)
        print(json.dumps(outcome.as_json(), indent=2) if output is Output.JSON else "\n".join(_lines(outcome, intent)))
        return outcome.exit_code

    async def main(interruption: Interruption) -> int:
        code = await unless_interrupted(_with_mover(request, look if dry_run else carry_out), interruption)
        if code is None:
            print("farshore: ended; writes may still be held: run it again, or with --abort", file=sys.stderr)
            return interruption.exit_code
        return code

    raise typer.Exit(run_until_interrupted(main))


async def _with_mover(request: Request, work: Callable[[Mover], Awaitable[int]]) -> int:
    try:
        async with opened_mover(request) as mover:
            return await work(mover)
    except ConfigurationError:
        raise
    except FarshoreError as error:
        print(f"farshore: {error}; if writes are held they stay so: run it again", file=sys.stderr)
        return exit_codes.UNKNOWN


def plan_code(plan: MovePlan) -> int:
    """75 where something wasn't seen, 1 where a person has to act, else 0."""
    if plan.has(Consequence.UNKNOWN):
        return exit_codes.UNKNOWN
    return exit_codes.FAILED if plan.has(Consequence.BLOCKED) else exit_codes.OK


def _lines(outcome: MoveOutcome, intent: Intent) -> list[str]:
    lines = [f"writes were held for {seconds:.1f} s at {site}" for site, seconds in outcome.held_seconds.items()]
    lines += [f"failed: {error}" for error in outcome.failures.values()]
    lines += [difference_line(one) for one in outcome.plan.differences]
    lines += [f"left: {step.words}" for step in outcome.plan.steps]
    lines += loss_lines(outcome.loss)
    if outcome.given_up:
        lines.append(f"given up: {outcome.given_up}")
    if outcome.exit_code == exit_codes.OK and not outcome.given_up:
        lines.append(f"{intent.registry} is at {intent.target}")
    return lines
