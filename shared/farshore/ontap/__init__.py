"""One ONTAP cluster's REST API as the pipeline needs it, on the `netapp-ontap` library."""

from farshore.ontap.cluster import OntapCluster
from farshore.ontap.errors import Call, OntapError, classify
from farshore.ontap.model import (
    ClusterInfo,
    Job,
    JobState,
    Peer,
    Relationship,
    RelationshipState,
    Snapshot,
    Transfer,
    TransferState,
    Volume,
)

__all__ = [
    "Call",
    "ClusterInfo",
    "Job",
    "JobState",
    "OntapCluster",
    "OntapError",
    "Peer",
    "Relationship",
    "RelationshipState",
    "Snapshot",
    "Transfer",
    "TransferState",
    "Volume",
    "classify",
]
