"""The `farshore` command."""

import logging
import sys
import typing
from importlib.metadata import version
from typing import Annotated

import typer

from farshore.errors import ConfigurationError, FarshoreError
from farshore_cli import exit_codes
from farshore_cli.commands.apply import apply
from farshore_cli.commands.check import check
from farshore_cli.commands.deadletter import deadletter
from farshore_cli.commands.demo import demo
from farshore_cli.commands.destroy import destroy
from farshore_cli.commands.epoch import epoch
from farshore_cli.commands.fence import fence
from farshore_cli.commands.move import move
from farshore_cli.commands.plan import plan
from farshore_cli.commands.reconcile import reconcile
from farshore_cli.commands.site import site
from farshore_cli.commands.status import status
from farshore_cli.commands.up import up
from farshore_cli.tools.find import MissingToolError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"farshore {version('farshore-cli')}")
        raise typer.Exit


@app.callback()
def farshore(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version, and end.")
    ] = False,
) -> None:
    """One container registry that spans the globe."""


app.command()(up)
app.command()(demo)
app.command()(check)
app.command()(plan)
app.command()(apply)
app.command()(destroy)
app.command()(status)
app.command()(move)
app.command()(epoch)
app.add_typer(site, name="site")
app.add_typer(deadletter, name="deadletter")
app.command()(reconcile)
app.command()(fence)


def main() -> typing.NoReturn:
    """Exit codes: see farshore_cli.exit_codes."""
    # it logs each failed connection of an outage; the commands say what couldn't be reached
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        app()
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
