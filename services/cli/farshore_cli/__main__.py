"""The `farshore` command."""

import sys
import typing
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Annotated

import typer

from farshore.errors import ConfigurationError, FarshoreError
from farshore_cli import exit_codes
from farshore_cli.tools.find import MissingToolError
from farshore_cli.warn import warn_by

COMMANDS = (
    "up",
    "demo",
    "check",
    "plan",
    "apply",
    "destroy",
    "status",
    "wait",
    "explain",
    "move",
    "epoch",
    "site",
    "rollback",
    "deadletter",
    "reconcile",
    "fence",
)
"""In the order of the help, groups last. Each is a module of farshore_cli.commands, which has it under its own name."""


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"farshore {version('farshore-cli')}")
        raise typer.Exit


def farshore(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version, and end.")
    ] = False,
) -> None:
    """One container registry that spans the globe."""


def app_for(words: Sequence[str]) -> typer.Typer:
    """The command line for `words`: only with the command that they begin with, for to import all of them takes longer
    than most commands do; with every command where they begin with none (help, a slip), but to show the version."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback()(farshore)
    for name in _named_by(words):
        command = getattr(import_module(f"farshore_cli.commands.{name}"), name)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command()(command)
    return app


def _named_by(words: Sequence[str]) -> Sequence[str]:
    match words:
        case ["--version", *_]:
            return []
        case [name, *_] if name in COMMANDS:
            return [name]
        case _:
            return COMMANDS


def main() -> typing.NoReturn:
    """Exit codes: see farshore_cli.exit_codes."""
    warn_by(lambda text: print(f"farshore: {text}", file=sys.stderr))
    try:
        app_for(sys.argv[1:])()
    except MissingToolError as error:
        _give_up(error, exit_codes.UNAVAILABLE)
    except ConfigurationError as error:
        _give_up(error, exit_codes.CONFIG)
    except FarshoreError as error:
        _give_up(error, exit_codes.SOFTWARE)
    raise SystemExit(exit_codes.OK)


def _give_up(error: FarshoreError, code: int) -> typing.NoReturn:
    print(f"farshore: {error}", file=sys.stderr)
    raise SystemExit(code) from None


if __name__ == "__main__":
    main()
