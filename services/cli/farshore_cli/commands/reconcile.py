"""`farshore reconcile`: what notifications lost is found and announced."""

import json
import logging
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

from farshore.errors import ConfigurationError, FarshoreError
from farshore.topology import Topology, load_topology
from farshore_cli import exit_codes
from farshore_cli.commands.kafka import kafka_bus
from farshore_cli.commands.options import Kafka, Output, Replication, TopologyFile, seconds_of, table_console
from farshore_cli.commands.running import Interruption, run_until_interrupted, unless_interrupted
from farshore_reconciler.limits import DEFAULT_LIMIT, DeletionLimit
from farshore_reconciler.options import Options
from farshore_reconciler.reconcile import Reconciler
from farshore_reconciler.report import RegistryReport
from farshore_reconciler.watch import Watch

_EVERY_SITE = "all"


def _limit(text: str) -> DeletionLimit:
    try:
        return DeletionLimit.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def reconcile(
    topology: TopologyFile,
    kafka: Kafka,
    registries: Annotated[
        list[str] | None, typer.Argument(metavar="[REGISTRY]...", help="Which; all when left out.", show_default=False)
    ] = None,
    site: Annotated[
        list[str] | None, typer.Option(help="Compare what this site's registry serves too; `all` is every site.")
    ] = None,
    grace: Annotated[
        float, typer.Option(parser=seconds_of, metavar="DURATION", help="Between the two looks of a run.")
    ] = "2m",  # type: ignore[assignment]
    max_deletions: Annotated[
        DeletionLimit, typer.Option(parser=_limit, metavar="N|P%", help="Announce no more deletions than this.")
    ] = str(DEFAULT_LIMIT),  # type: ignore[assignment]
    sample: Annotated[int, typer.Option(min=0, metavar="N", help="Hash N images of each site again.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is missing; announce nothing.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Again and again, and when somebody asks for it, until Ctrl-C.")
    ] = False,
    every: Annotated[
        float, typer.Option(parser=seconds_of, metavar="DURATION", help="With --watch: the pause between runs.")
    ] = "10m",  # type: ignore[assignment]
    replication: Replication = -1,
    output: Annotated[Output, typer.Option(help="For people or for programs.")] = Output.TABLE,
) -> None:
    """Compare the primary with what readiness knows, and announce what notifications lost.

    Exit code 0: all in step, or announced. 1: damage, deletions held back, or --dry-run found something.
    75: a registry gave no certain answer, so nothing was concluded about it.
    """
    logging.getLogger("farshore_reconciler").setLevel(logging.CRITICAL)  # the report says it
    loaded = load_topology(topology)
    names = _registries(loaded, registries or [])
    options = Options(grace, dry_run, _sites(loaded, site or []), sample, max_deletions)
    reconciler = Reconciler(kafka_bus(kafka, "farshore-reconcile", replication), loaded, options)

    async def once() -> int:
        try:
            reports = await reconciler.run(names)
        except ConfigurationError:
            raise
        except FarshoreError as error:
            _say_failure(error)
            return exit_codes.UNKNOWN
        _show(output, reports, dry_run=dry_run)
        return exit_code(reports, dry_run=dry_run)

    async def main(interruption: Interruption) -> int:
        again = Watch(reconciler, names, every, lambda reports: _show(output, reports, dry_run=dry_run), _say_failure)
        found = await unless_interrupted(again.run() if watch else once(), interruption)
        return interruption.exit_code if found is None else found

    raise typer.Exit(run_until_interrupted(main))


def _say_failure(error: FarshoreError) -> None:
    print(f"farshore: {error}", file=sys.stderr, flush=True)


def _registries(topology: Topology, wanted: list[str]) -> list[str]:
    for name in wanted:
        if name not in topology.registries:
            there = ", ".join(topology.registries)
            raise typer.BadParameter(f"{name} is no registry of the topology; there are: {there}")
    return wanted or list(topology.registries)


def _sites(topology: Topology, wanted: list[str]) -> frozenset[str]:
    for name in wanted:
        if name not in topology.sites and name != _EVERY_SITE:
            raise typer.BadParameter(f"{name} is no site of the topology; there are: {', '.join(topology.sites)}")
    return frozenset(topology.sites if _EVERY_SITE in wanted else wanted)


def exit_code(reports: Sequence[RegistryReport], *, dry_run: bool) -> int:
    """What a run ends with: what is wrong comes before what is unknown."""
    if any(report.needs_a_person or (dry_run and report.announced) for report in reports):
        return exit_codes.FAILED
    return exit_codes.UNKNOWN if any(report.is_unknown for report in reports) else exit_codes.OK


def _show(output: Output, reports: Sequence[RegistryReport], *, dry_run: bool) -> None:
    if output is Output.JSON:
        print(json.dumps({"dry_run": dry_run, "registries": [report.as_json() for report in reports]}), flush=True)
        return
    console = table_console()
    table = Table(box=None, pad_edge=False)
    for heading in ("registry", "image", "finding", "sites"):
        table.add_column(heading)
    for report in reports:
        for image in report.images:
            table.add_row(report.registry, image["image"], image["finding"], ", ".join(image["sites"]))
    if table.row_count:
        console.print(table)
    for report in reports:
        for line in _lines(report, dry_run=dry_run):
            console.print(line, markup=False, highlight=False)


def _lines(report: RegistryReport, *, dry_run: bool) -> list[str]:
    """The report in words."""
    announced = sum(report.announced.values())
    verb = "would be announced" if dry_run else "announced"
    lines = [
        f"{report.registry}: {report.repositories} repositories, {report.names} names, {announced} events {verb}, "
        f"{report.lost_notifications} of them lost notifications"
    ]
    lines += [
        f"{report.registry}: {images} names {remark} at {site}"
        for (remark, site), images in sorted(report.remarks.items())
    ]
    if report.unsettled:
        lines.append(f"{report.registry}: {report.unsettled} changed between the two looks: left to the next run")
    if report.deletions_stopped:
        lines.append(
            f"{report.registry}: STOPPED: {report.deletions_stopped} images are gone at the primary, more than "
            f"{report.deletion_limit}: none was announced as deleted. If that is right, say "
            f"--max-deletions {report.deletions_stopped}"
        )
    if report.rehashed_images:
        lines.append(
            f"{report.registry}: {report.rehashed_images} images hashed again, {report.rehashed_bytes:,} bytes"
        )
    lines += [f"{report.registry}: CORRUPT: {damage}" for damage in report.damaged]
    lines += [f"UNKNOWN: {reason}" for reason in report.unknown]
    return lines
