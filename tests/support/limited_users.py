"""Users of simulated clusters who may do only what a role of farshore's allows."""

import re
from collections.abc import Collection, Iterable

from simulators import Simulator

from farshore.ontap.role import Call, privileges

USER = "farshore"
PASSWORD = "limited-user-of-the-tests"


def add_user(simulators: Iterable[Simulator], calls: Collection[Call]) -> None:
    """Give each cluster the user, with the least role that allows `calls`, as its administrator would."""
    entries = [{"path": path, "access": level.value} for path, level in privileges(calls).items()]
    account = {
        "name": USER,
        "password": PASSWORD,
        "role": {"name": "farshore"},
        "applications": [{"application": "http", "authentication_methods": ["password"]}],
    }
    for simulator in simulators:
        simulator.request("POST", "/api/security/roles", {"name": "farshore", "privileges": entries})
        simulator.request("POST", "/api/security/accounts", account)


def calls_of_user(simulators: Iterable[Simulator]) -> set[Call]:
    """What the user asked the clusters for since they started."""
    found = [call for one in simulators for call in one.request("GET", "/sim/calls")["calls"]]
    return {
        (call["method"], re.sub(r"\{(?!name)\w+\}", "{uuid}", call["path"])) for call in found if call["user"] == USER
    }
