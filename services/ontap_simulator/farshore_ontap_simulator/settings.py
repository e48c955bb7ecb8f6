"""The simulator's settings: flags, each with an environment variable of the same meaning."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port; port 0 asks for a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """What one cluster is started with. `peers` maps cluster names to intercluster addresses."""

    name: str
    state_dir: Path
    listen: Address
    intercluster: Address
    username: str
    password: str
    peers: Mapping[str, Address]
    svm: str | None
    volume: str | None
    job_seconds: float


def parse_address(text: str) -> Address:
    """`host:port` as an Address. Raises ValueError."""
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is not HOST:PORT")
    return Address(host, int(port))


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="farshore-ontap-simulator",
        description="One simulated ONTAP cluster. Each option is also read from FARSHORE_SIM_<OPTION>.",
    )

    def option(flag: str, text: str, default: str | None = None) -> None:
        name = "FARSHORE_SIM_" + flag.lstrip("-").upper().replace("-", "_")
        value = environment.get(name, default)
        parser.add_argument(flag, default=value, required=value is None, help=f"{text} [{name}]")

    option("--name", "the cluster's name")
    option("--state-dir", "folder of everything that this cluster keeps")
    option("--listen", "HOST:PORT of the REST interface", "127.0.0.1:0")
    option("--intercluster", "HOST:PORT of the socket for replication data", "127.0.0.1:0")
    option("--username", "REST user", "admin")
    option("--password-file", "file with the REST user's password; else FARSHORE_SIM_PASSWORD", "")
    option("--svm", "SVM to create at the first start", "")
    option("--volume", "read-write volume to create in it at the first start", "")
    option("--job-seconds", "how long a finished job can be read", "300")
    parser.add_argument(
        "--peer",
        action="append",
        default=[peer for peer in environment.get("FARSHORE_SIM_PEER", "").split(",") if peer],
        metavar="NAME=HOST:PORT",
        help="a peer's intercluster address, repeatable [FARSHORE_SIM_PEER, separated by commas]",
    )
    return parser


def parse(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from flags and environment. Ends the process with a message for wrong ones, as argparse does."""
    parser = _parser(environment)
    given = parser.parse_args(arguments)
    password = environment.get("FARSHORE_SIM_PASSWORD", "")
    try:
        if given.password_file:
            password = Path(given.password_file).read_text().strip()
        peers = {}
        for peer in given.peer:
            name, separator, address = peer.partition("=")
            if not separator or not name:
                raise ValueError(f"{peer!r} is not NAME=HOST:PORT")
            peers[name] = parse_address(address)
        settings = Settings(
            name=given.name,
            state_dir=Path(given.state_dir).absolute(),
            listen=parse_address(given.listen),
            intercluster=parse_address(given.intercluster),
            username=given.username,
            password=password,
            peers=peers,
            svm=given.svm or None,
            volume=given.volume or None,
            job_seconds=float(given.job_seconds),
        )
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if not settings.password:
        parser.error("a password is needed: --password-file or FARSHORE_SIM_PASSWORD")
    if settings.volume and not settings.svm:
        parser.error("--volume needs --svm")
    return settings
