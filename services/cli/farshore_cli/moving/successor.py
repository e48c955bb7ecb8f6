"""What a topology becomes when a registry's primary moves. Pure.

- The sites between the old primary and the new one turn around: each gets its copy from the next one toward the new
  primary.
- Those that got it from the old primary get it from the new one.
- All others keep their upstream.
"""

from typing import Any

from farshore.topology.model import Place, Primary, Registry, Replica, Topology


def successor(topology: Topology, registry: str, target: str) -> Topology:
    """`topology` with the primary of `registry` at its replica `target`, one epoch later."""
    entry = topology.registries[registry]
    chosen = entry.replica(target)
    if chosen is None:
        raise ValueError(f"{target} is no replica of {registry}")
    old = entry.primary
    upstream = {one.site: one.via or old.site for one in entry.replicas}
    way = [target]
    while way[-1] != old.site:
        way.append(upstream[way[-1]])
    upstream = {site: target if source == old.site else source for site, source in upstream.items()}
    upstream |= dict(zip(way[1:], way, strict=False))
    places = [old if one is chosen else one for one in entry.replicas]  # the old primary takes the target's place
    replicas = [
        Replica(via=None if upstream[place.site] == target else upstream[place.site], **_values(place))
        for place in places
    ]
    primary = Primary(**_values(chosen))
    changes = {"primary": primary, "replicas": replicas, "epoch": entry.epoch + 1}
    moved: Registry = entry.model_copy(update=changes)
    return topology.model_copy(update={"registries": {**topology.registries, registry: moved}})


def _values(place: Place) -> dict[str, Any]:
    """What is the place's own, whichever part it plays."""
    return {name: getattr(place, name) for name in Place.model_fields}


def way_to_primary(topology: Topology, registry: str, site: str) -> list[str]:
    """`site` and all that its copy comes through, the primary last."""
    entry = topology.registries[registry]
    way = [site]
    while (replica := entry.replica(way[-1])) is not None:
        way.append(replica.via or entry.primary.site)
    return way
