"""Whether a site may still take a registry's writes, as the other sites' edges see it. Pure."""

from collections.abc import Mapping
from enum import Enum, auto

from farshore.topology.model import Registry
from farshore_cli.applying.facts import Unseen
from farshore_cli.moving.facts import EdgeSeen


class Standing(Enum):
    """The verdict."""

    PRIMARY = auto()
    FENCED = auto()
    """It is not the primary, or not any more."""
    UNKNOWN = auto()
    """Too few could be asked to be sure."""


def standing_of(registry: Registry, site: str, others: Mapping[str, EdgeSeen | Unseen]) -> tuple[Standing, str]:
    """The verdict on `site` and why, from the topology that it has and the edges of all other sites.

    More than half of all edges, its own counted, have to agree: a site that is cut off can't know whether it was given
    up meanwhile, and one that was given up must not go on.
    """
    if registry.primary.site != site:
        return Standing.FENCED, f"its topology has the primary at {registry.primary.site}"
    answers = {name: edge for name, edge in others.items() if isinstance(edge, EdgeSeen)}
    for name, edge in answers.items():
        if edge.epoch > registry.epoch or (edge.epoch == registry.epoch and edge.primary != site):
            reason = f"the edge of {name} has the primary at {edge.primary}, epoch {edge.epoch}"
            return Standing.FENCED, f"{reason}; the topology here says epoch {registry.epoch}"
    if others and 2 * (len(answers) + 1) <= len(others) + 1:
        silent = ", ".join(sorted(set(others) - set(answers)))
        return Standing.UNKNOWN, f"too few edges answer: {silent} don't"
    return Standing.PRIMARY, f"epoch {registry.epoch}; no edge that answers knows of a later one"
