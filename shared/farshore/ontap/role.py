"""What farshore asks of a cluster, call by call, and the least REST roles that allow it.

Source: ONTAP REST reference, `security/roles/{owner.uuid}/{name}/privileges`, and `security login rest-role create` of
ONTAP 9.11.1 and later. A privilege is a path with an access level; it holds for everything below the path, unless a
longer one says otherwise. Of the paths with an id in them, only those of snapshots can have a level of their own.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum

Call = tuple[str, str]
"""Method and path; `{…}` stands for an id."""


class AccessLevel(StrEnum):
    """ONTAP's words, and which methods each allows."""

    READONLY = "readonly"
    READ_CREATE = "read_create"
    READ_MODIFY = "read_modify"
    READ_CREATE_MODIFY = "read_create_modify"
    ALL = "all"


METHODS: Mapping[AccessLevel, frozenset[str]] = {
    AccessLevel.READONLY: frozenset({"GET"}),
    AccessLevel.READ_CREATE: frozenset({"GET", "POST"}),
    AccessLevel.READ_MODIFY: frozenset({"GET", "PATCH"}),
    AccessLevel.READ_CREATE_MODIFY: frozenset({"GET", "POST", "PATCH"}),
    AccessLevel.ALL: frozenset({"GET", "POST", "PATCH", "DELETE"}),
}
"""The least one first. GET stands for reading."""

SERVICES: frozenset[Call] = frozenset(
    {
        ("GET", "/api/cluster/jobs/{uuid}"),
        ("GET", "/api/snapmirror/relationships"),
        ("GET", "/api/snapmirror/relationships/{uuid}"),
        ("GET", "/api/snapmirror/relationships/{uuid}/transfers"),
        ("GET", "/api/snapmirror/relationships/{uuid}/transfers/{uuid}"),
        ("POST", "/api/snapmirror/relationships/{uuid}/transfers"),
        ("GET", "/api/storage/volumes"),
        ("GET", "/api/storage/volumes/{uuid}/snapshots"),
        ("POST", "/api/storage/volumes/{uuid}/snapshots"),
        ("DELETE", "/api/storage/volumes/{uuid}/snapshots/{uuid}"),
    }
)
"""The coalescer's: of the services it alone talks to clusters."""
SETUP: frozenset[Call] = frozenset(
    {
        ("GET", "/api/cluster"),
        ("GET", "/api/cluster/peers"),
        ("GET", "/api/snapmirror/policies"),
        ("POST", "/api/snapmirror/policies"),
        ("PATCH", "/api/snapmirror/policies/{uuid}"),
        ("POST", "/api/snapmirror/relationships"),
        ("PATCH", "/api/snapmirror/relationships/{uuid}"),
        ("DELETE", "/api/snapmirror/relationships/{uuid}"),
        ("PATCH", "/api/snapmirror/relationships/{uuid}/transfers/{uuid}"),
        ("GET", "/api/storage/aggregates"),
        ("POST", "/api/storage/volumes"),
        ("PATCH", "/api/storage/volumes/{uuid}"),
        ("DELETE", "/api/storage/volumes/{uuid}"),
        ("GET", "/api/support/ems/destinations"),
        ("POST", "/api/support/ems/destinations"),
        ("PATCH", "/api/support/ems/destinations/{name}"),
        ("GET", "/api/svm/peers"),
        ("GET", "/api/svm/svms"),
    }
)
"""Besides those: what commands ask that look at storage, make, move or remove it."""

_SNAPSHOTS = "/api/storage/volumes/{uuid}/snapshots"


def privileges(calls: Collection[Call]) -> dict[str, AccessLevel]:
    """The least access level of each path that allows `calls`, in the paths' order."""
    methods: dict[str, set[str]] = {}
    for method, path in calls:
        methods.setdefault(_role_path(path), set()).add(method)
    return {
        path: next(level for level, allowed in METHODS.items() if used <= allowed)
        for path, used in sorted(methods.items())
    }


def _role_path(path: str) -> str:
    if path.startswith(_SNAPSHOTS):
        return _SNAPSHOTS.replace("{uuid}", "*")
    return path.partition("/{")[0]


def commands(role: str, calls: Collection[Call]) -> list[str]:
    """The commands that make the role, for ONTAP's own command line."""
    return [
        f'security login rest-role create -role {role} -api "{path}" -access {level.value}'
        for path, level in privileges(calls).items()
    ]
