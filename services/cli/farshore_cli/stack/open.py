"""From the wish to run a stack in a folder to a Stack that can be started: tools, folder, ports."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from farshore.errors import ConfigurationError
from farshore_cli.stack.layout import Layout
from farshore_cli.stack.parts import Programs
from farshore_cli.stack.ports import Ports, port_names, ports_again, ports_from, remembered_ports
from farshore_cli.stack.stack import Stack
from farshore_cli.supervisor import Notice
from farshore_cli.tools.find import MissingToolError, find_tools
from farshore_cli.tools.ports import claim, free_ports, is_free


def find_programs(registry: str) -> Programs:
    """The outside programs; `registry` is `v2` or `v3`. Raises MissingToolError."""
    tools = find_tools()
    found = tools.registries.get(registry)
    if found is None:
        raise MissingToolError(f"registry {registry}", "run scripts/setup --for-tests with Go installed, or use v2")
    return Programs(nginx=tools.nginx, registry=found)


def prepare_folder(state_dir: Path) -> Layout:
    """The layout below `state_dir`, which is made where it isn't there. Raises ConfigurationError."""
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError("make", str(state_dir), str(error.strerror), hint="give another --state-dir") from None
    return Layout(state_dir.absolute())


def choose_ports(layout: Layout, base: int | None, instances: int) -> Ports:
    """Ports from `base`, or those of the last run, or free ones. Raises ConfigurationError.

    Nobody else who chooses ports gets them, also while nothing listens there yet.
    """
    names = port_names(instances)
    if base is None:
        ports = ports_again(remembered_ports(layout.ports_file), is_free, free_ports, names)
    else:
        ports = ports_from(base, is_free, names)
    for port in ports.by_name.values():
        claim(port)  # a given or remembered one may be another process's, which keeps it for this one
    return ports


def open_stack(
    layout: Layout,
    programs: Programs,
    base: int | None,
    tell: Callable[[Notice], None],
    instances: int = 1,
    kafka: str | None = None,
) -> Stack:
    """A stack, not started, with so many coalescers and verifiers, on the given Kafka or one of its own. The caller
    holds the layout's lock."""
    ports = replace(choose_ports(layout, base, instances), other_kafka=kafka)
    return Stack(layout, ports, programs, tell, instances)
