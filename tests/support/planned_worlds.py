"""Worlds as `farshore plan` sees them, for tests without any cluster."""

from dataclasses import replace
from pathlib import Path

from farshore.ontap.model import Policy, Relationship, RelationshipState, Volume
from farshore.topology import Topology, load_topology
from farshore_cli.applying.facts import SiteFacts, Unseen, World

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
SIZE = 1 << 40


def example(name: str) -> Topology:
    return load_topology(EXAMPLES / f"{name}.yaml")


def empty_world(topology: Topology) -> dict[str, SiteFacts | Unseen]:
    """Peered clusters with empty SVMs."""
    peers = frozenset((f"cluster-{name}", site.ontap.svm) for name, site in topology.sites.items())
    return {name: SiteFacts(f"cluster-{name}", {}, {}, peers, "aggr1") for name in topology.sites}


def volume(kind: str, junction: str | None = "/registry_main") -> Volume:
    return Volume("v", "registry_main", "svm_registry", kind, "online", junction, SIZE, 500, 1000, "both", "both")


def relationship(state: str = "snapmirrored", source: str = "svm_registry:registry_main") -> Relationship:
    return Relationship(
        uuid="r",
        state=RelationshipState(state),
        healthy=True,
        unhealthy_reasons=(),
        source_path=source,
        destination_path="svm_registry:registry_main",
        exported_snapshot=None,
        lag_seconds=None,
        transfer_uuid=None,
        transfer_state=None,
        policy="farshore",
    )


def finished(topology: Topology) -> dict[str, SiteFacts | Unseen]:
    """The world of a topology with one registry, when all is done."""
    world = empty_world(topology)
    (registry,) = topology.registries.values()
    for name, facts in world.items():
        assert isinstance(facts, SiteFacts)
        primary = name == registry.primary.site
        world[name] = replace(
            facts,
            volumes={"registry_main": volume("rw" if primary else "dp")},
            relationships={} if primary else {"registry_main": relationship()},
            policy=Policy("p", "farshore", True, True),
        )
    return world


def at(world: World, site: str) -> SiteFacts:
    facts = world[site]
    assert isinstance(facts, SiteFacts)
    return facts
