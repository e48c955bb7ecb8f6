"""`farshore-edge render` writes the nginx configuration of a site's edge; `farshore-edge agent` keeps it up to date."""

import argparse
import sys
from pathlib import Path

from farshore.errors import ConfigurationError
from farshore.topology import load_topology
from farshore_edge.render import render
from farshore_edge.runtime import Runtime

EX_CONFIG = 78
EX_CANTCREAT = 73


def main() -> None:
    """Exit codes: 0, 2 usage, 73 the output can't be written, 78 configuration."""
    arguments = _parser().parse_args()
    if arguments.command == "agent":
        return _run_agent()
    try:
        runtime = Runtime(
            pid_file=arguments.pid_file,
            access_log=arguments.access_log,
            error_log=arguments.error_log,
            temp_dir=arguments.temp_dir,
            ca_file=arguments.ca_file,
            hold_dir=arguments.hold_dir,
            user=arguments.user,
        )
        text = render(load_topology(arguments.topology), arguments.site, runtime)
    except ConfigurationError as error:
        print(f"farshore-edge: {error}", file=sys.stderr)
        raise SystemExit(EX_CONFIG) from None
    try:
        _write(text, arguments.output)
    except OSError as error:
        print(f"farshore-edge: write {arguments.output}: {error.strerror}", file=sys.stderr)
        raise SystemExit(EX_CANTCREAT) from None


def _run_agent() -> None:
    # here, since rendering can do without a second of imports
    from farshore.service import plain_main
    from farshore_edge.agent.run import run
    from farshore_edge.agent.settings import read_edge_settings

    plain_main("farshore-edge", run, own_settings=read_edge_settings)()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="farshore-edge", description="Proxy rules of farshore's sites")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    commands.add_parser("agent", help="keep a running nginx at the rules of the topology file (docs/edge.md)")
    command = commands.add_parser("render", help="write the nginx configuration of a site's edge")
    defaults = Runtime()
    command.add_argument("--site", required=True)
    command.add_argument("--topology", required=True, type=Path)
    command.add_argument("--output", required=True, help="a file, or - for standard output")
    command.add_argument("--pid-file", type=Path, default=defaults.pid_file)
    command.add_argument("--access-log", type=Path, default=defaults.access_log)
    command.add_argument("--error-log", type=Path, default=defaults.error_log)
    command.add_argument("--temp-dir", type=Path, default=defaults.temp_dir)
    command.add_argument("--ca-file", type=Path, default=defaults.ca_file)
    command.add_argument("--hold-dir", type=Path, default=defaults.hold_dir)
    command.add_argument("--user", help="whom nginx's workers run as where root starts it")
    return parser


def _write(text: str, output: str) -> None:
    """Replace `output` in one step: an nginx that reloads meanwhile sees the old file or the new one."""
    if output == "-":
        sys.stdout.write(text)
        return
    target = Path(output)
    draft = target.with_name(f".{target.name}.new")
    draft.write_text(text, encoding="utf-8")
    draft.replace(target)


if __name__ == "__main__":
    main()
