"""Options that commands share."""

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from farshore.bus.topics import possible_replication
from farshore.topology.fields import parse_duration

StateDir = typer.Option(file_okay=False, help="Folder for everything that the stack keeps.")
TopologyFile = Annotated[Path, typer.Option(envvar="FARSHORE_TOPOLOGY", help="The topology file.", show_default=False)]
Kafka = Annotated[
    str,
    typer.Option(metavar="HOST:PORT[,…]", envvar="FARSHORE_KAFKA_BOOTSTRAP_SERVERS", help="Kafka.", show_default=False),
]
PortBase = typer.Option(help="Use consecutive ports from this one; else those of the last run, or free ones.")


def _possible(brokers: int) -> int:
    try:
        return possible_replication(brokers)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Replication = Annotated[
    int,
    typer.Option(
        metavar="N",
        envvar="FARSHORE_KAFKA_REPLICATION",
        callback=_possible,
        help="How many brokers keep a topic that is created now; -1 leaves it to Kafka.",
    ),
]


_UNITS = {"MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def bytes_of(text: str) -> int:
    """Parses an option that is a size: `500GiB`, `2TiB`."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})(MiB|GiB|TiB)", text)
    if match is None:
        raise typer.BadParameter("not a size: write a whole number and MiB, GiB or TiB")
    return int(match[1]) * _UNITS[match[2]]


VolumeSize = Annotated[
    int,
    typer.Option(
        parser=bytes_of, metavar="SIZE", help="Of volumes that are made; they are thin, and take what they hold."
    ),
]


class RegistryVersion(StrEnum):
    """Major version of CNCF distribution."""

    V2 = "v2"
    V3 = "v3"


class Output(StrEnum):
    """For whom a command writes."""

    TABLE = "table"
    JSON = "json"


def seconds_of(text: str) -> float:
    """Parses an option that is a duration: `30s`, `2m`."""
    try:
        return float(parse_duration(text))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def table_console() -> Console:
    """Where tables are printed: a table is only as wide as its words, and a pipe has no edge."""
    return Console(width=None if os.isatty(1) else 1000)
