"""How to run. Pure."""

from dataclasses import dataclass

from farshore_reconciler.limits import DEFAULT_LIMIT, DeletionLimit


@dataclass(frozen=True, slots=True)
class Options:
    """`sites` are those whose registries are compared too; `sample` is in images for each site."""

    grace_seconds: float = 120.0
    dry_run: bool = False
    sites: frozenset[str] = frozenset()
    sample: int = 0
    max_deletions: DeletionLimit = DEFAULT_LIMIT
