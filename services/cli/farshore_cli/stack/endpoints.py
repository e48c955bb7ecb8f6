"""`endpoints.json`: where everything of a running stack is. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from farshore_cli.stack.layout import APART, ONTAP_USER, REGISTRY, SITES, VOLUME, Layout
from farshore_cli.stack.ports import RECEIVER_MANAGEMENT, Ports
from farshore_cli.supervisor import Process


def endpoints(
    layout: Layout, ports: Ports, passwords: Mapping[str, str], processes: Sequence[Process], primary: str
) -> dict[str, Any]:
    """The document. `passwords` are the clusters', by site; it is for its owner's eyes only."""
    return {
        "topology": str(layout.topology_file),
        "kafka": {"bootstrap_servers": ports.kafka},
        "receiver": {"url": ports.url("receiver"), "management": ports.url(RECEIVER_MANAGEMENT)},
        "coalescer": {"url": ports.url("coalescer")},
        "verifier": {"url": ports.url("verifier")},
        APART: {"url": ports.url(APART)},
        "registry": REGISTRY,
        "holds": str(layout.hold_dir("{site}")),
        "sites": {
            site.name: {
                "role": "primary" if site.name == primary else "replica",
                "model": site.model,
                "edge": ports.url(f"edge-{site.name}"),
                "registry": ports.url(f"registry-{site.name}"),
                "path": str(layout.export(site.name)),
                "ontap": {
                    "url": ports.url(f"ontap-{site.name}"),
                    "username": ONTAP_USER,
                    "password": passwords[site.name],
                    "svm": site.svm,
                    "volume": VOLUME,
                },
            }
            for site in SITES
        },
        "processes": [asdict(process) for process in processes],
    }
