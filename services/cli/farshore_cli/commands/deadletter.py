"""`farshore deadletter`: look at what could not be handled, and send it back."""

import asyncio
import json
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from farshore.bus.clients import Bus
from farshore.bus.exactly_once import ExactlyOnceStep
from farshore.errors import ConfigurationError, FarshoreError, RetryClass
from farshore.secrets import read_secret
from farshore.topology import load_topology
from farshore.topology.fields import parse_duration
from farshore_cli import exit_codes
from farshore_cli.commands.kafka import kafka_bus
from farshore_cli.commands.options import Kafka, Output
from farshore_cli.deadletters import rows, tell, whole
from farshore_cli.deadletters.choose import Filter
from farshore_cli.deadletters.entry import Entry
from farshore_cli.deadletters.plan import Wanted, make_plan
from farshore_cli.deadletters.post import Receiver
from farshore_cli.deadletters.read import failures_of, open_dead_letters
from farshore_cli.deadletters.send import TRANSACTIONAL_ID, Sender

deadletter = typer.Typer(no_args_is_help=True, help="Look at dead letters, and send them back.")


class ShowOutput(StrEnum):
    """For whom a letter is shown."""

    TEXT = "text"
    JSON = "json"


Service = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only what this service gave up: receiver, verifier.")
]
Code = Annotated[str | None, typer.Option(metavar="WORD", help="Only with this code, for instance not-found.")]
Registry = Annotated[str | None, typer.Option(metavar="NAME", help="Only of this registry.")]
Site = Annotated[str | None, typer.Option(metavar="NAME", help="Only about this site.")]
Since = Annotated[str | None, typer.Option(metavar="DURATION", help="Only of this last time: 30m, 2h, 1d.")]


@deadletter.command("list")
def list_letters(
    kafka: Kafka,
    service: Service = None,
    code: Code = None,
    registry: Registry = None,
    site: Site = None,
    since: Since = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the newest so many.")] = None,
    output: Annotated[Output, typer.Option(help="For people or for programs.")] = Output.TABLE,
) -> None:
    """List dead letters, oldest first, each with its offset, its reason and whether it was sent back."""
    chosen = Filter(service, code, registry, site, _earliest(since))
    bus = kafka_bus(kafka, "farshore-deadletter")

    def row(entry: Entry, *, sent_back: bool) -> str:
        if output is Output.JSON:
            return json.dumps(rows.json_row(entry, sent_back=sent_back))
        return rows.table_row(entry, sent_back=sent_back)

    async def work() -> int:
        newest: deque[str] = deque(maxlen=limit)
        async with failures_of(bus, "read dead letters from"), open_dead_letters(bus) as reader:
            marks = await reader.marks()
            if output is Output.TABLE:
                print(rows.line(rows.HEADING))
            async for offset, entry in reader.entries():
                if chosen.passes(entry):
                    text = row(entry, sent_back=offset in marks)
                    newest.append(text) if limit else print(text)
        for text in newest:
            print(text)
        return exit_codes.OK

    _run(work)


@deadletter.command()
def show(
    offset: Annotated[int, typer.Argument(min=0, help="The letter's offset.", show_default=False)],
    kafka: Kafka,
    output: Annotated[ShowOutput, typer.Option(help="For people or for programs.")] = ShowOutput.TEXT,
) -> None:
    """Show a dead letter with all that it holds. Exit code 1: there is none at OFFSET."""
    bus = kafka_bus(kafka, "farshore-deadletter")

    async def work() -> int:
        async with failures_of(bus, "read dead letters from"), open_dead_letters(bus) as reader:
            async for _, entry in reader.entries(offset, offset + 1):
                mark = await reader.mark_of(offset)
                if output is ShowOutput.JSON:
                    print(json.dumps(whole.as_json(entry, mark), indent=2))
                else:
                    print(whole.as_text(entry, mark))
                return exit_codes.OK
        print(f"farshore: there is no dead letter at {offset}", file=sys.stderr)
        return exit_codes.FAILED

    _run(work)


@deadletter.command()
def redrive(
    kafka: Kafka,
    offsets: Annotated[
        list[int] | None, typer.Argument(min=0, metavar="[OFFSET]...", help="The letters.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All letters that pass the filters.")] = False,
    service: Service = None,
    code: Code = None,
    registry: Registry = None,
    site: Site = None,
    since: Since = None,
    receiver: Annotated[
        str | None, typer.Option(metavar="URL", help="The receiver, for notifications that it gave up.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(metavar="REFERENCE", help="Its token, env:NAME or file:/path; else by --topology.")
    ] = None,
    topology: Annotated[
        Path | None, typer.Option(envvar="FARSHORE_TOPOLOGY", help="The topology file: where registries' tokens are.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Send also what is refused because it can't help.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Send dead letters back to where they came from, each at most once.

    Exit code 0: all are sent back. 1: some were refused, not taken, or came back.
    """
    chosen = Filter(service, code, registry, site, _earliest(since))
    if every == bool(offsets):
        raise typer.BadParameter("name letters by their offsets, or say --all")
    if offsets and not chosen.is_empty:
        raise typer.BadParameter("filters go with --all")
    if receiver is not None and not receiver.startswith(("http://", "https://")):
        raise typer.BadParameter("a URL begins with http:// or https://", param_hint="--receiver")
    bus = kafka_bus(kafka, "farshore-deadletter")
    wanted = Wanted(frozenset(offsets) if offsets else None, chosen, force=force)

    async def work() -> int:
        async with failures_of(bus, "read dead letters from"), open_dead_letters(bus) as reader:
            plan = await make_plan(bus, reader, wanted)
        _say(tell.plan_lines(plan, dry_run=dry_run))
        if dry_run or not plan.send:
            return exit_codes.OK if tell.all_is_well(plan, tell.Sent()) else exit_codes.FAILED
        if plan.needs_receiver and receiver is None:
            reason = "notifications go back through the receiver: say where it is"
            raise typer.BadParameter(reason, param_hint="--receiver")
        if not yes:
            _ask(len(plan.send))
        async with failures_of(bus, "send dead letters back through"):
            sent = await _send(bus, plan, receiver, lambda name: _token(name, token, topology))
        _say(tell.sent_lines(sent))
        return exit_codes.OK if tell.all_is_well(plan, sent) else exit_codes.FAILED

    _run(work)


async def _send(bus: Bus, plan: tell.Plan, url: str | None, token_for: Callable[[str], str]) -> tell.Sent:
    """Fence other redrives, then send."""
    console = Console(stderr=True)
    columns = (TextColumn("sending back"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    async with AsyncExitStack() as stack:
        step = await stack.enter_async_context(ExactlyOnceStep(bus, TRANSACTIONAL_ID))
        reader = await stack.enter_async_context(open_dead_letters(bus, to_the_very_end=True))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        progress = stack.enter_context(Progress(*columns, console=console, disable=not console.is_terminal))
        task = progress.add_task("", total=len(plan.send))
        target = Receiver(session, url, token_for) if url else None
        return await Sender(step, reader, target, lambda: progress.advance(task)).send(plan.send)


def _ask(letters: int) -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter("there is nobody to ask: say --yes, or --dry-run", param_hint="--yes")
    if not typer.confirm(f"send {letters} back?"):
        raise typer.Exit(exit_codes.FAILED)


def _token(registry: str, reference: str | None, topology: Path | None) -> str:
    """The first token of the registry."""
    if reference is None:
        if topology is None:
            raise ConfigurationError("post", f"to {registry}", "it needs a token", hint="give --token or --topology")
        known = load_topology(topology).registries.get(registry)
        if known is None:
            raise ConfigurationError("post", f"to {registry}", f"{topology} has no such registry", hint="give --token")
        reference = known.notifications.tokens[0]
    return read_secret(reference).splitlines()[0].strip()


def _earliest(since: str | None) -> datetime | None:
    if since is None:
        return None
    try:
        return datetime.now(UTC) - timedelta(seconds=parse_duration(since))
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            "a duration is a number and s, m, h or d, for instance 2h", param_hint="--since"
        ) from error


def _say(lines: Iterable[str]) -> None:
    for text in lines:
        print(text)


def _run(work: Callable[[], Coroutine[Any, Any, int]]) -> None:
    """Do `work` and end with its exit code; configuration errors are left to the caller."""
    try:
        code = asyncio.run(work())
    except KeyboardInterrupt:
        raise typer.Exit(exit_codes.INTERRUPTED) from None
    except FarshoreError as error:
        codes = {RetryClass.RETRY_SOON: exit_codes.UNAVAILABLE, RetryClass.REDISCOVER: exit_codes.FAILED}
        if isinstance(error, ConfigurationError) or error.retry not in codes:
            raise
        print(f"farshore: {error}", file=sys.stderr)
        raise typer.Exit(codes[error.retry]) from None
    raise typer.Exit(code)
