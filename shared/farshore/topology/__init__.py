"""Which sites and registries there are and how each registry is replicated: one file describes it all."""

from farshore.topology.file import TopologyError, load_topology, parse_topology
from farshore.topology.model import (
    Batching,
    Cluster,
    Edge,
    Notifications,
    Objectives,
    Place,
    Primary,
    Registry,
    Relationship,
    Replica,
    Site,
    SiteModel,
    Topology,
    Verification,
    VerificationLevel,
)

__all__ = [
    "Batching",
    "Cluster",
    "Edge",
    "Notifications",
    "Objectives",
    "Place",
    "Primary",
    "Registry",
    "Relationship",
    "Replica",
    "Site",
    "SiteModel",
    "Topology",
    "TopologyError",
    "Verification",
    "VerificationLevel",
    "load_topology",
    "parse_topology",
]
