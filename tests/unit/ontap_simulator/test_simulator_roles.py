"""Which calls a role allows: the longest path decides, and it holds for all below."""

import pytest

from farshore_ontap_simulator.model.records import Privilege
from farshore_ontap_simulator.rest.roles import allows

ROLE = (
    Privilege(path="/api/storage/volumes", access="readonly"),
    Privilege(path="/api/storage/volumes/*/snapshots", access="all"),
    Privilege(path="/api/snapmirror", access="read_create"),
    Privilege(path="/api/snapmirror/policies", access="none"),
    Privilege(path="/api/svm", access="read_modify"),
    Privilege(path="/api/support", access="read_create_modify"),
)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/storage/volumes", True),
        ("GET", "/api/storage/volumes/u/", True),
        ("PATCH", "/api/storage/volumes/u", False),
        ("DELETE", "/api/storage/volumes/u/snapshots/s", True),
        ("DELETE", "/api/storage/volumes/u/other/s", False),
        ("GET", "/api/storage/volumesandmore", False),
        ("GET", "/api/storage", False),
        ("POST", "/api/snapmirror/relationships/u/transfers", True),
        ("PATCH", "/api/snapmirror/relationships/u", False),
        ("GET", "/api/snapmirror/policies", False),
        ("PATCH", "/api/svm/svms/u", True),
        ("POST", "/api/svm/svms", False),
        ("PATCH", "/api/support/ems", True),
        ("DELETE", "/api/support/ems", False),
        ("GET", "/api/cluster", False),
    ],
)
def test_a_role_allows_what_its_closest_privilege_says(method: str, path: str, allowed: bool) -> None:
    assert allows(ROLE, method, path) is allowed
