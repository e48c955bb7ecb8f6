"""What a REST role allows.

Source: ONTAP REST reference, `security/roles/{owner.uuid}/{name}/privileges`: a privilege holds for all that is below
its path, and the longest path decides.
"""

from __future__ import annotations

from collections.abc import Iterable

from farshore_ontap_simulator.model.records import Privilege

_ALLOWED = {
    "none": "",
    "readonly": "GET HEAD OPTIONS",
    "read_create": "GET HEAD OPTIONS POST",
    "read_modify": "GET HEAD OPTIONS PATCH",
    "read_create_modify": "GET HEAD OPTIONS POST PATCH",
    "all": "GET HEAD OPTIONS POST PATCH DELETE",
}
LEVELS = frozenset(_ALLOWED)


def allows(privileges: Iterable[Privilege], method: str, path: str) -> bool:
    """Whether a user with these privileges may do this."""
    asked = path.rstrip("/").split("/")
    covering = [one for one in privileges if _covers(one.path.rstrip("/").split("/"), asked)]
    if not covering:
        return False
    closest = max(covering, key=lambda one: one.path.count("/"))
    return method in _ALLOWED[closest.access].split()


def _covers(path: list[str], asked: list[str]) -> bool:
    return len(path) <= len(asked) and all(part in ("*", given) for part, given in zip(path, asked, strict=False))
