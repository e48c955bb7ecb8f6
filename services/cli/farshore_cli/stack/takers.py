"""Which sites' registries take writes, before, during and after a move. Pure."""

from collections.abc import Set


def takers(primary: str, target: str, *, target_is_writable: bool, now: Set[str]) -> frozenset[str]:
    """The sites whose registries have to take writes; `now`: those that do.

    `primary` is the topology's. `target`: where a move that holds writes wants it, '' where none does. Its registry
    takes writes as soon as its volume can be written to. Nobody's becomes read-only while writes are held: edges may
    still read there.
    """
    if not target:
        return frozenset({primary})
    return frozenset({primary, *now, *({target} if target_is_writable else set())})
