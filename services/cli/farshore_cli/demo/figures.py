"""The clusters' own counts, before and after. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over all clusters; bytes. At rest: of the volumes' files, and of what is stored for them and snapshots."""

    transfers: int
    snapshots: int
    logical_bytes: int
    wire_bytes: int
    at_rest_logical_bytes: int
    at_rest_physical_bytes: int


def figures(stats: Sequence[Mapping[str, Any]]) -> Figures:
    """Sum the clusters' `/sim/stats`."""
    volumes = [volume for one in stats for volume in one["volumes"]]
    return Figures(
        transfers=sum(one["total"]["transfers"] for one in stats),
        snapshots=sum(one["snapshots_taken"] for one in stats),
        logical_bytes=sum(one["total"]["logical_bytes"] for one in stats),
        wire_bytes=sum(one["total"]["wire_bytes"] for one in stats),
        at_rest_logical_bytes=sum(volume["active_bytes"] for volume in volumes),
        at_rest_physical_bytes=sum(volume["physical_bytes"] for volume in volumes),
    )
