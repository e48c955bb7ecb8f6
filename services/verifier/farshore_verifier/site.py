"""What the lanes of one site share: its registries' verifiers, its group, the clock."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from farshore.topology import Topology
from farshore_verifier.dirty import SnapshotRequests
from farshore_verifier.verify import SiteVerifier


def replica_sites(topology: Topology) -> list[str]:
    """The sites that replicate a registry, in order."""
    return sorted({replica.site for registry in topology.registries.values() for replica in registry.replicas})


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Site:
    """One site. `ready_within` has each registry's objective in seconds; `others` are the topology's other sites.

    `primaries`: the site that each registry is written at.
    `takes_strays`: exactly one site takes the arrivals of sites that the topology doesn't have (any more), so that
    they go to the dead letters rather than nowhere.
    """

    name: str
    verifiers: Mapping[str, SiteVerifier]
    ready_within: Mapping[str, float]
    others: frozenset[str]
    takes_strays: bool
    snapshots: SnapshotRequests
    primaries: Mapping[str, str] = field(default_factory=dict)
    now: Callable[[], datetime] = _utc_now
    jitter: random.Random = field(default_factory=random.Random)

    @property
    def group(self) -> str:
        """The consumer group of the site's lanes: its lag is what the site has still to verify."""
        return f"farshore.verifier.{self.name}"

    def takes(self, site: str) -> bool:
        """Whether an arrival at `site` is this site's to decide."""
        return site == self.name or (self.takes_strays and site not in self.others)

    @property
    def replicates(self) -> list[str]:
        """The registries that the site has a replica of."""
        return [name for name in self.verifiers if self.primaries.get(name) != self.name]

    def leaves_to_its_own(self, registry: str, site: str) -> bool:
        """Whether an arrival of `registry` at another `site` is left to that site's own lanes, which don't run yet: the
        coalescer knows already that the primary moved from there. Their group will begin before it."""
        return site != self.name and self.primaries.get(registry) == site
