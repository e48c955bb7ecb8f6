"""Storage of a registry that moves, as the mover sees it: for tests without any cluster."""

from datetime import UTC, datetime
from pathlib import Path

from farshore.ontap.model import Relationship, RelationshipState, TransferState, Volume
from farshore.topology import Topology, load_topology
from farshore_cli.applying.facts import Unseen
from farshore_cli.moving.facts import Copy
from farshore_cli.moving.plan import Intent

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
HUB = load_topology(EXAMPLES / "hub-and-spokes.yaml")
(NAME,) = HUB.registries
REGISTRY = HUB.registries[NAME]
OLD, (TARGET, *OTHERS) = REGISTRY.primary.site, [one.site for one in REGISTRY.replicas]
INTENT = Intent(NAME, TARGET, "fresh")
SNAPSHOT = "farshore-0a1b2c3d-0-{cover}-1-5e1f0c4a"


def volume(kind: str) -> Volume:
    return Volume("v", "v", "s", kind, "online", "/v", 1, 1, 1)


def relationship(site: str, state: RelationshipState, *, transferring: bool = False) -> Relationship:
    transfer = TransferState.TRANSFERRING if transferring else None
    return Relationship(
        "r", state, True, (), path(HUB, site), "d", None, None, None, transfer, "farshore", f"cluster-{site}"
    )


def path(topology: Topology, site: str) -> str:
    registry = topology.registries[NAME]
    place = registry.replica(site) or registry.primary
    return f"{topology.sites[site].ontap.svm}:{place.volume}"


def copies(topology: Topology, cover: int) -> dict[str, Copy | Unseen]:
    """Storage as `topology` wants it, with a snapshot of `cover` everywhere."""
    peers = frozenset((f"cluster-{name}", site.ontap.svm) for name, site in topology.sites.items())
    snapshots = {SNAPSHOT.format(cover=cover): "version"}
    shown = (SNAPSHOT.format(cover=cover), "version")
    registry = topology.registries[NAME]
    found: dict[str, Copy | Unseen] = {
        registry.primary.site: Copy(f"cluster-{registry.primary.site}", volume("rw"), None, None, snapshots, peers)
    }
    for one in topology.relationships(NAME):
        link = relationship(one.source_site, RelationshipState.SNAPMIRRORED)
        found[one.site] = Copy(f"cluster-{one.site}", volume("dp"), link, shown, snapshots, peers)
    return found
