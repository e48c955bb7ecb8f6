"""What was seen on the clusters of a topology, in the words of `farshore.ontap.model`. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from farshore.ontap.model import EmsDestination, Policy, Relationship, Volume


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """What was seen at a site, of all that the topology names there."""

    cluster: str
    """The cluster's own name."""
    volumes: Mapping[str, Volume]
    """Of the site's SVM, by name; what isn't there is left out, in all of these."""
    relationships: Mapping[str, Relationship]
    """Those that end in the site's SVM, by the destination volume's name."""
    peers: frozenset[tuple[str, str]] = frozenset()
    """`(cluster, SVM)` that SnapMirror can reach now."""
    aggregate: str | None = None
    """Where a new volume would go."""
    policy: Policy | None = None
    """farshore's policy in the site's SVM."""
    events: EmsDestination | None = None
    """farshore's EMS destination of the site's cluster."""
    transferred: Mapping[str, int] = field(default_factory=dict)
    """Bytes that have crossed in the transfer that runs, by the destination volume's name."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """A site that couldn't be looked at, and why."""

    reason: str
    hint: str = ""


World = Mapping[str, SiteFacts | Unseen]
"""All sites of the topology, by name."""
