"""What a hub on a node needs from outside, where pods reach it: Kafka, three sites' clusters and registries."""

import asyncio
import copy
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes_node import HOST
from simulators import PASSWORD, Simulator, start_simulators
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.topology import parse_topology
from farshore_cli.applying.run import make_storage
from farshore_cli.stack.registry_config import NotificationTarget, registry_config
from farshore_cli.tools.child import end, spawn
from farshore_cli.tools.kafka import Broker
from farshore_cli.tools.kafka.command import new_cluster_id
from farshore_cli.tools.kafka.config import Node
from farshore_cli.tools.ports import free_ports

PRIMARY = "nyc"
REPLICAS = ("fra", "syd")
SITES = (PRIMARY, *REPLICAS)
TOKEN = "a-notification-token"
CLUSTER_PASSWORD = PASSWORD
_VOLUME = "registry"
_ETC = "/etc/farshore"
_STORAGE_SECONDS = 120.0


@dataclass(frozen=True)
class NodeSites:
    """`topology` is what pods get; clients push to `edge_url`, by its name in the cluster."""

    bus: Bus
    topology: dict[str, Any]
    edge_url: str
    registry_log: Path
    """Of the primary's registry: what it couldn't deliver at once."""


@asynccontextmanager
async def node_sites(
    registry: Path, folder: Path, logs: Path, edge_host: str, receiver_host: str
) -> AsyncIterator[NodeSites]:
    """Start all of it. By their names in the cluster: `edge_host` is fra's edge, `receiver_host` the hub's receiver."""
    kafka_port, controller_port, *registry_ports = free_ports(2 + len(SITES))
    registries = dict(zip(SITES, registry_ports, strict=True))
    broker = Broker(folder / "kafka", logs / "kafka.log")
    broker.join(Node(1, kafka_port, controller_port, HOST), (), new_cluster_id())
    with ExitStack() as started:
        clusters = started.enter_context(start_simulators(folder, SITES, host=HOST))
        broker.prepare()
        broker.launch()
        started.callback(broker.kill)
        edge_url = f"https://{edge_host}"
        document = _topology(clusters, registries, edge_url)
        own = {site: clusters[site].settings.password for site in SITES}
        await make_storage(
            parse_topology(yaml.safe_dump(_with_passwords(document, own)), "the tests"), _STORAGE_SECONDS
        )
        target = NotificationTarget(f"http://{receiver_host}/v1/notifications/main", TOKEN)
        for site in SITES:
            root = clusters[site].export(_VOLUME)
            await wait_until(root.is_dir, 60, f"the volume of {site}")
            settings = folder / f"registry-{site}.yaml"
            primary = site == PRIMARY
            address = f"{HOST}:{registries[site]}"
            settings.write_text(
                registry_config(root, address, "secret", read_only=not primary, notify=target if primary else None)
            )
            process = spawn(
                [str(registry), "serve", str(settings)],
                log_file=logs / f"registry-{site}.log",
                environ={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
            )
            started.callback(end, process, within_seconds=10)
        await asyncio.to_thread(broker.wait_until_ready)
        yield NodeSites(Bus(broker.bootstrap), document, edge_url, logs / f"registry-{PRIMARY}.log")


def _topology(clusters: Mapping[str, Simulator], registries: Mapping[str, int], edge_url: str) -> dict[str, Any]:
    """As the chart's users have it: secrets are files of the Secrets that it mounts."""

    def place(site: str) -> dict[str, str]:
        return {"site": site, "volume": _VOLUME, "url": f"http://{HOST}:{registries[site]}"}

    edge = {
        "url": edge_url,
        "listen": ":8443",
        "certificate": f"{_ETC}/edge/tls.crt",
        "certificate_key": f"{_ETC}/edge/tls.key",
        "certificate_ca_file": f"{_ETC}/certificates/private-ca/ca.crt",
    }
    document: dict[str, Any] = {
        "version": 1,
        "sites": {site: clusters[site].topology_entry(edge) for site in SITES},
        "registries": {
            "main": {
                "primary": place(PRIMARY),
                "replicas": [place(site) for site in REPLICAS],
                "notifications": {"tokens": [f"file:{_ETC}/secrets/notification-tokens/main"]},
            }
        },
    }
    for site in (PRIMARY, "syd"):
        del document["sites"][site]["edge"]
    return _with_passwords(document, {site: f"file:{_ETC}/secrets/ontap/{site}" for site in SITES})


def _with_passwords(document: dict[str, Any], passwords: Mapping[str, str]) -> dict[str, Any]:
    found = copy.deepcopy(document)
    for site, password in passwords.items():
        found["sites"][site]["ontap"]["password"] = password
    return found
