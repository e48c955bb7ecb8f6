"""Brings the stack up in order, and keeps endpoints.json true while it runs."""

import asyncio
import json
import time
from collections.abc import Callable

from farshore.bus.clients import Bus
from farshore.bus.topics import create_missing_topics
from farshore.errors import FarshoreError, RetryClass
from farshore.topology import Topology, parse_topology
from farshore_cli.applying.run import make_storage
from farshore_cli.stack.endpoints import endpoints
from farshore_cli.stack.files import PRIVATE, ensure_secret, write
from farshore_cli.stack.layout import (
    APART,
    PRIMARY,
    REGISTRY,
    REPLICAS,
    SCALED_SERVICES,
    SITES,
    Layout,
    SitePlan,
    instance_names,
)
from farshore_cli.stack.parts import KAFKA_NODE, Parts, Programs
from farshore_cli.stack.ports import Ports
from farshore_cli.stack.registry_config import NotificationTarget, registry_config
from farshore_cli.stack.simulator import Simulator
from farshore_cli.stack.topology_text import topology_text
from farshore_cli.supervisor import Notice, Part, Process, Supervisor
from farshore_cli.tools.kafka.command import broker_command, format_storage, new_cluster_id
from farshore_cli.tools.kafka.config import Node, write_config
from farshore_edge.render import render
from farshore_edge.runtime import Runtime

_STORAGE_WITHIN_SECONDS = 60.0
_EXPORTS_WITHIN_SECONDS = 60.0


class Stack:
    """One local farshore. `start` it, and `stop` it in any case. `ports` are for as many `instances`."""

    def __init__(
        self, layout: Layout, ports: Ports, programs: Programs, tell: Callable[[Notice], None], instances: int = 1
    ) -> None:
        self.layout = layout
        self.ports = ports
        self.topology: Topology = parse_topology(topology_text(layout, ports), str(layout.topology_file))
        self._tell = tell
        self._instances = instances
        self._parts = Parts(layout, ports, programs)
        self._supervisor = Supervisor(self._noticed)
        self._passwords = {site.name: ensure_secret(layout.password_file(site.name)) for site in SITES}
        self._complete = False

    @property
    def bootstrap_servers(self) -> str:
        """Kafka's address."""
        return self.ports.kafka

    def processes(self) -> list[Process]:
        """What runs now."""
        return self._supervisor.processes()

    def simulator(self, site: str) -> Simulator:
        """The control interface of the site's simulated cluster."""
        return Simulator(self.ports.url(f"ontap-{site}"))

    async def start(self) -> None:
        """Return when every part but the reconciler, which is only started, is ready and endpoints.json is written.

        Raises FarshoreError, ConfigurationError.
        """
        self.layout.endpoints_file.unlink(missing_ok=True)
        self._write_configuration()
        kafka = [] if self.ports.other_kafka else [await asyncio.to_thread(self._prepare_kafka)]
        await self._supervisor.start(*kafka, *(self._cluster(site) for site in SITES))
        await create_missing_topics(Bus(self.bootstrap_servers))
        await make_storage(self.topology, _STORAGE_WITHIN_SECONDS)
        await self._wait_for_exports()
        # at the end the registries go before the receiver, so that it gets what they still have to tell
        await self._supervisor.start_tiers(
            [self._parts.service("receiver")],
            [self._registry(site) for site in SITES],
            [self._parts.edge(site) for site in SITES],
            [
                self._parts.service(name)
                for service in SCALED_SERVICES
                for name in instance_names(service, self._instances)
            ],
        )
        self._complete = True
        self._supervisor.start_apart(self._parts.service(APART))
        self._write_endpoints()

    async def stop(self) -> None:
        """End every part, last started first."""
        self._complete = False
        self.layout.endpoints_file.unlink(missing_ok=True)
        await self._supervisor.stop()

    async def stop_part(self, name: str) -> None:
        """End one part, and leave it so until `start_part`."""
        await self._supervisor.stop_part(name)
        self._write_endpoints()

    async def start_part(self, name: str) -> None:
        """Start a part that `stop_part` ended."""
        await self._supervisor.start_part(name)
        self._write_endpoints()

    def hurry(self) -> None:
        """Make a `stop` that is under way kill instead of wait."""
        self._supervisor.hurry()

    def _noticed(self, notice: Notice) -> None:
        if self._complete:
            self._write_endpoints()
        self._tell(notice)

    def _write_endpoints(self) -> None:
        document = endpoints(self.layout, self.ports, self._passwords, self.processes())
        write(self.layout.endpoints_file, json.dumps(document, indent=2) + "\n", PRIVATE)

    def _write_configuration(self) -> None:
        write(self.layout.ports_file, json.dumps(dict(self.ports.by_name), indent=2) + "\n")
        write(self.layout.topology_file, topology_text(self.layout, self.ports))
        http_secret = ensure_secret(self.layout.registry_secret_file)
        target = NotificationTarget(
            f"{self.ports.url('receiver')}/v1/notifications/{REGISTRY}", ensure_secret(self.layout.token_file)
        )
        for site in SITES:
            name = f"registry-{site.name}"
            listen = self.ports.address(name)
            primary = site == PRIMARY
            text = registry_config(
                self.layout.export(site.name),
                listen,
                http_secret,
                read_only=not primary,
                notify=target if primary else None,
            )
            write(self.layout.config_file(f"{name}.yaml"), text, PRIVATE)
            self._write_edge(site)

    def _write_edge(self, site: SitePlan) -> None:
        name = f"edge-{site.name}"
        folder = self.layout.edge_dir(site.name)
        folder.mkdir(parents=True, exist_ok=True)
        runtime = Runtime.below(
            folder,
            access_log=self.layout.log_file(f"{name}-access"),
            error_log=self.layout.log_file(name),
        )
        self.layout.log_file(name).parent.mkdir(parents=True, exist_ok=True)
        write(self.layout.config_file(f"{name}.conf"), render(self.topology, site.name, runtime))

    def _prepare_kafka(self) -> Part:
        node = Node(KAFKA_NODE, self.ports.by_name["kafka"], self.ports.by_name["kafka-controller"])
        log_dir = self.layout.kafka_dir / "log"
        config = write_config(self.layout.kafka_dir / "server.properties", node, log_dir)
        format_storage(config, log_dir, new_cluster_id())
        return self._parts.kafka(broker_command(config), log_dir)

    def _cluster(self, site: SitePlan) -> Part:
        simulator = self.simulator(site.name)

        async def set_links(_pid: int) -> None:
            if site == PRIMARY:
                for replica in REPLICAS:
                    await simulator.set_link(replica.cluster, replica.link)

        return self._parts.cluster(site, set_links)

    def _registry(self, site: SitePlan) -> Part:
        if site != PRIMARY:
            return self._parts.registry(site)
        simulator = self.simulator(site.name)

        async def register_writer(pid: int) -> None:
            await simulator.set_writers(site, [pid])

        return self._parts.registry(site, register_writer)

    async def _wait_for_exports(self) -> None:
        """A replica exports nothing before its baseline has arrived."""
        deadline = time.monotonic() + _EXPORTS_WITHIN_SECONDS
        for site in SITES:
            while not self.layout.export(site.name).is_dir():
                if time.monotonic() > deadline:
                    raise FarshoreError(
                        "find",
                        str(self.layout.export(site.name)),
                        "the volume was made, but its content isn't there",
                        retry=RetryClass.OPERATOR,
                        hint=f"see {self.layout.log_file(f'ontap-{site.name}')}",
                    )
                await asyncio.sleep(0.1)
