"""What was seen on the clusters of a topology. Pure.

Words and states are ONTAP's (REST 9.14); paths are `svm:volume`.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """A volume of the site's SVM."""

    uuid: str
    type: str
    """`rw` or `dp`."""
    state: str
    junction: str | None
    dedupe: str | None
    """None, here and for `compression`, where the cluster doesn't say."""
    compression: str | None
    logical_bytes: int
    """Bytes of content before storage efficiency: about what a baseline has to send."""


@dataclass(frozen=True, slots=True)
class RelationshipFacts:
    """A relationship whose destination is on the site's SVM."""

    uuid: str
    state: str
    healthy: bool
    reasons: tuple[str, ...]
    """Why it isn't healthy."""
    source: str
    policy: str | None
    transferring: bool
    transferred_bytes: int
    """Of the transfer that runs; 0 where none does."""


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """farshore's policy in the site's SVM."""

    uuid: str
    network_compression: bool
    copies_all: bool
    """Whether every source snapshot travels."""


@dataclass(frozen=True, slots=True)
class EventFacts:
    """farshore's EMS destination of the site's cluster."""

    url: str
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """What was seen at a site, of all that the topology names there."""

    cluster: str
    """The cluster's own name."""
    volumes: Mapping[str, VolumeFacts]
    """By name; what isn't there is left out, in all of these."""
    relationships: Mapping[str, RelationshipFacts]
    """By the destination volume's name."""
    peers: frozenset[tuple[str, str]] = frozenset()
    """`(cluster, SVM)` that SnapMirror can reach now."""
    aggregate: str | None = None
    """Where a new volume would go."""
    policy: PolicyFacts | None = None
    events: EventFacts | None = None


@dataclass(frozen=True, slots=True)
class Unseen:
    """A site that couldn't be looked at, and why."""

    reason: str
    hint: str = ""


World = Mapping[str, SiteFacts | Unseen]
"""All sites of the topology, by name."""
