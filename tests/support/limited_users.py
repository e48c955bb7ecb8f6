"""Users of simulated clusters who may do only what a role of farshore's allows."""

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Protocol

import yaml
from local_stack import LocalStack
from simulators import ask_cluster

from farshore.ontap.role import SERVICES, SETUP, Call, privileges

USER = "farshore"
PASSWORD = "limited-user-of-the-tests"
ALL = SERVICES | SETUP
"""What services and commands may do, where one topology file serves both."""


class Administered(Protocol):
    """A cluster that its administrator can ask."""

    def request(self, method: str, path: str, body: Any = None) -> Any: ...


class StackCluster:
    """A cluster of a local stack, by its administrator."""

    def __init__(self, ontap: dict[str, str]) -> None:
        self._ontap = ontap

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """One request, decoded; raises urllib's errors."""
        ontap = self._ontap
        return ask_cluster(ontap["url"], ontap["username"], ontap["password"], method, path, body)


def clusters_of(stack: LocalStack) -> list[Administered]:
    """All clusters of a stack that is up."""
    return [StackCluster(site["ontap"]) for site in stack.endpoints["sites"].values()]


def add_user(clusters: Iterable[Administered], calls: Collection[Call]) -> None:
    """Give each cluster the user, with the least role that allows `calls`, as its administrator would."""
    entries = [{"path": path, "access": level.value} for path, level in privileges(calls).items()]
    account = {
        "name": USER,
        "password": PASSWORD,
        "role": {"name": "farshore"},
        "applications": [{"application": "http", "authentication_methods": ["password"]}],
    }
    for cluster in clusters:
        cluster.request("POST", "/api/security/roles", {"name": "farshore", "privileges": entries})
        cluster.request("POST", "/api/security/accounts", account)


def as_limited(topology: dict[str, Any], folder: Path) -> dict[str, Any]:
    """`topology` with the user at every site; the password's file is in `folder`."""
    password = folder / "limited"
    password.write_text(PASSWORD)
    for site in topology["sites"].values():
        site["ontap"] |= {"username": USER, "password": f"file:{password}"}
    return topology


def limit(stack: LocalStack, folder: Path) -> None:
    """Have the services of a stack, and commands with its topology, be that user from now on."""
    add_user(clusters_of(stack), ALL)
    file = Path(stack.endpoints["topology"])
    limited = as_limited(yaml.safe_load(file.read_text()), folder)
    draft = file.with_suffix(".new")
    draft.write_text(yaml.safe_dump(limited, sort_keys=False))
    draft.replace(file)


def calls_of_user(clusters: Iterable[Administered]) -> set[Call]:
    """What the user asked the clusters for since they started."""
    found = [call for one in clusters for call in one.request("GET", "/sim/calls")["calls"]]
    return {
        (call["method"], re.sub(r"\{(?!name)\w+\}", "{uuid}", call["path"])) for call in found if call["user"] == USER
    }
