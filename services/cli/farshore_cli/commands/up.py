"""`farshore up`: the whole local stack in the foreground."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from farshore_cli.commands.options import PortBase, RegistryVersion, StateDir
from farshore_cli.commands.running import Interruption, run_until_interrupted, unless_interrupted
from farshore_cli.screen import PartsScreen
from farshore_cli.stack.lock import locked
from farshore_cli.stack.open import find_programs, open_stack, prepare_folder
from farshore_cli.stack.parts import all_part_names
from farshore_cli.stack.stack import Stack
from farshore_cli.warn import warn_by


def up(
    state_dir: Annotated[Path, StateDir] = Path("build/up"),
    port_base: Annotated[int | None, PortBase] = None,
    registry: Annotated[RegistryVersion, typer.Option(help="Major version of CNCF distribution.")] = RegistryVersion.V2,
    instances: Annotated[int, typer.Option(min=1, max=9, help="Coalescers and verifiers, each so many.")] = 1,
    kafka: Annotated[str | None, typer.Option(help="host:port[,…] of a Kafka to use; else one is started.")] = None,
) -> None:
    """Run Kafka, three sites and farshore's services here, until Ctrl-C.

    Three sites: nyc (primary), fra and syd (replicas). What they hold, and their ports, are kept in the state folder:
    the next `up` there goes on. endpoints.json in it says where everything is once all is ready.
    """
    programs = find_programs(registry.value)
    layout = prepare_folder(state_dir)

    async def main(interruption: Interruption) -> int:
        with (
            locked(layout.lock_file),
            PartsScreen(Console(), all_part_names(instances, own_kafka=kafka is None)) as screen,
        ):
            warn_by(screen.say)
            stack = open_stack(layout, programs, port_base, screen.show, instances, kafka)
            interruption.again = stack.hurry
            try:
                await unless_interrupted(_serve(stack, screen), interruption)
                screen.say("ending")
            finally:
                await stack.stop()
            return interruption.exit_code

    raise typer.Exit(run_until_interrupted(main))


async def _serve(stack: Stack, screen: PartsScreen) -> None:
    await stack.start()
    _show_where(stack, screen)
    await stack.follow()


def _show_where(stack: Stack, screen: PartsScreen) -> None:
    screen.say(f"all ready; push to {stack.ports.address(f'edge-{stack.primary}')}, pull at any edge")
    for site in stack.topology.sites:
        screen.say(f"edge {site}: {stack.ports.url(f'edge-{site}')}")
    screen.say(f"where everything is: {stack.layout.endpoints_file}; logs: {stack.layout.root / 'logs'}; end: Ctrl-C")
