"""The topology file of a local stack. Pure."""

from typing import Any

import yaml

from farshore_cli.stack.layout import ONTAP_USER, PRIMARY, REGISTRY, REPLICAS, SITES, VOLUME, Layout
from farshore_cli.stack.ports import Ports


def topology_text(layout: Layout, ports: Ports) -> str:
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
                "primary": _place(PRIMARY.name, ports),
                "replicas": [_place(site.name, ports) for site in REPLICAS],
                "notifications": {"tokens": [f"file:{layout.token_file}"]},
            }
        },
    }
    return "# Written by `farshore up` at each start.\n" + yaml.safe_dump(document, sort_keys=False)


def _place(site: str, ports: Ports) -> dict[str, str]:
    return {"site": site, "volume": VOLUME, "url": ports.url(f"registry-{site}")}
