"""The topology file of a local stack, and what of it outlives a start. Pure."""

from dataclasses import dataclass
from typing import Any

import yaml

from farshore.topology import Topology
from farshore_cli.stack.layout import ONTAP_USER, PRIMARY, REGISTRY, SITES, VOLUME, Layout
from farshore_cli.stack.ports import Ports


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the registry is written: a move changes it, and the next start keeps it."""

    primary: str = PRIMARY.name
    epoch: int = 1


def standing_of(topology: Topology) -> Standing | None:
    """What a topology says of it; None where that isn't a stack's, or not any more."""
    registry = topology.registries.get(REGISTRY)
    if registry is None or registry.primary.site not in {site.name for site in SITES}:
        return None
    return Standing(registry.primary.site, registry.epoch)


def topology_text(layout: Layout, ports: Ports, standing: Standing) -> str:
    """YAML that `farshore.topology` accepts; secrets are references to files below the state folder."""
    document: dict[str, Any] = {
        "version": 1,
        "sites": {
            site.name: {
                "model": site.model,
                "ontap": {
                    "url": ports.url(f"ontap-{site.name}"),
                    "username": ONTAP_USER,
                    "password": f"file:{layout.password_file(site.name)}",
                    "svm": site.svm,
                },
                "edge": {"url": ports.url(f"edge-{site.name}"), "listen": ports.address(f"edge-{site.name}")},
            }
            for site in SITES
        },
        "registries": {
            REGISTRY: {
                "epoch": standing.epoch,
                "primary": _place(standing.primary, ports),
                "replicas": [_place(site.name, ports) for site in SITES if site.name != standing.primary],
                "notifications": {"tokens": [f"file:{layout.token_file}"]},
            }
        },
    }
    return "# Written by `farshore up` at each start.\n" + yaml.safe_dump(document, sort_keys=False)


def _place(site: str, ports: Ports) -> dict[str, str]:
    return {"site": site, "volume": VOLUME, "url": ports.url(f"registry-{site}")}
