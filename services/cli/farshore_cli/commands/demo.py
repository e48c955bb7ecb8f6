"""`farshore demo`: the local stack, real pushes, and the proof that they arrived."""

import shutil
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from farshore.errors import ConfigurationError
from farshore_cli import exit_codes
from farshore_cli.commands.options import PortBase, RegistryVersion
from farshore_cli.commands.running import Interruption, run_until_interrupted, unless_interrupted
from farshore_cli.demo.run import Demo
from farshore_cli.demo.skopeo import Skopeo
from farshore_cli.screen import PartsScreen
from farshore_cli.stack.layout import PRIMARY, Layout
from farshore_cli.stack.lock import locked
from farshore_cli.stack.open import find_programs, open_stack, prepare_folder
from farshore_cli.stack.parts import all_part_names
from farshore_cli.tools.find import find_tools
from farshore_cli.warn import warn_by

_OWN_STATE_DIR = Path("build/demo/state")


def demo(
    report: Annotated[Path, typer.Option(dir_okay=False, help="Where the report goes.")] = Path(
        "build/demo/report.json"
    ),
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack up afterwards, until Ctrl-C.")] = False,
    state_dir: Annotated[
        Path | None,
        typer.Option(file_okay=False, help=f"An empty or new folder; else {_OWN_STATE_DIR}, emptied first."),
    ] = None,
    port_base: Annotated[int | None, PortBase] = None,
    registry: Annotated[RegistryVersion, typer.Option(help="Major version of CNCF distribution.")] = RegistryVersion.V2,
) -> None:
    """Push real images at nyc, see them arrive and be verified at fra and syd, and prove it without the primary.

    Exit code 0 only if everything held.
    """
    began = time.monotonic()
    programs = find_programs(registry.value)
    skopeo = Skopeo(find_tools().skopeo)
    layout = prepare_folder(state_dir or _OWN_STATE_DIR)
    console = Console()

    async def main(interruption: Interruption) -> int:
        with locked(layout.lock_file):
            _empty(layout, ours=state_dir is None)
            screen = PartsScreen(console, all_part_names(), began)
            warn_by(screen.say)
            stack = open_stack(layout, programs, port_base, screen.show)
            interruption.again = stack.hurry

            async def work() -> bool:
                with screen:
                    await stack.start()
                held = await Demo(stack, skopeo, programs.registry, report, console, began).run()
                if keep:
                    await stack.start_part(f"registry-{PRIMARY.name}")
                    screen.say(f"left up: {layout.endpoints_file} says where everything is; end: Ctrl-C")
                    await unless_interrupted(stack.follow(), interruption)
                    screen.say("ending")
                return held

            try:
                held = await unless_interrupted(work(), interruption)
            finally:
                await stack.stop()
        if held is None:
            return exit_codes.INTERRUPTED
        if held and not keep and state_dir is None:
            shutil.rmtree(layout.root)
        return exit_codes.OK if held else exit_codes.FAILED

    raise typer.Exit(run_until_interrupted(main))


def _empty(layout: Layout, *, ours: bool) -> None:
    """Begin with nothing: figures of an earlier run would be counted in. Raises ConfigurationError."""
    for entry in layout.root.iterdir():
        if entry == layout.lock_file:
            continue
        if not ours:
            raise ConfigurationError(
                "use", str(layout.root), "the demo needs a folder without earlier runs", hint="give an empty one"
            )
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
