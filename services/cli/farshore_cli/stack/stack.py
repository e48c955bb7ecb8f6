"""Brings the stack up in order, and keeps endpoints.json true while it runs."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

from farshore.bus.clients import Bus
from farshore.bus.topics import create_missing_topics
from farshore.errors import FarshoreError, RetryClass
from farshore.ontap import OntapCluster
from farshore.together import together
from farshore.topology import Topology, TopologyError, load_topology, parse_topology
from farshore_cli.applying.run import make_storage
from farshore_cli.moving.holds import HoldFiles
from farshore_cli.stack.edges import LOOK_SECONDS, edge_config, edge_runtime, keep_edges
from farshore_cli.stack.endpoints import endpoints
from farshore_cli.stack.files import PRIVATE, ensure_secret, write
from farshore_cli.stack.layout import (
    APART,
    PRIMARY,
    REGISTRY,
    REPLICAS,
    SCALED_SERVICES,
    SITES,
    VOLUME,
    Layout,
    SitePlan,
    instance_names,
    site_plan,
)
from farshore_cli.stack.parts import KAFKA_NODE, Parts, Programs
from farshore_cli.stack.ports import Ports
from farshore_cli.stack.registry_config import NotificationTarget, registry_config
from farshore_cli.stack.simulator import Simulator
from farshore_cli.stack.takers import takers
from farshore_cli.stack.topology_text import Standing, standing_of, topology_text
from farshore_cli.supervisor import Notice, Part, Process, Stage, Supervisor
from farshore_cli.tools.kafka.command import broker_command, format_storage, new_cluster_id
from farshore_cli.tools.kafka.config import Node, write_config
from farshore_edge.render import render

_STORAGE_WITHIN_SECONDS = 60.0
_EXPORTS_WITHIN_SECONDS = 60.0


class Stack:
    """One local farshore. `start` it, and `stop` it in any case. `ports` are for as many `instances`."""

    def __init__(
        self, layout: Layout, ports: Ports, programs: Programs, tell: Callable[[Notice], None], instances: int = 1
    ) -> None:
        self.layout = layout
        self.ports = ports
        text = topology_text(layout, ports, _standing(layout.topology_file))
        self.topology: Topology = parse_topology(text, str(layout.topology_file))
        """As the file says; `follow` keeps it so."""
        self._text = text
        self._takers = frozenset({self.primary})
        self._programs = programs
        self._tell = tell
        self._instances = instances
        self._parts = Parts(layout, ports, programs)
        self._supervisor = Supervisor(self._noticed)
        self._passwords = {site.name: ensure_secret(layout.password_file(site.name)) for site in SITES}
        self._complete = False

    @property
    def primary(self) -> str:
        """The site where the registry is written, by the topology as it was read last."""
        return self.topology.registries[REGISTRY].primary.site

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
        # once the registry has moved it has all of its storage, and what a move left half done is the mover's
        if self.topology.registries[REGISTRY].epoch == 1 and not self._target():
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

    async def follow(self) -> None:
        """Follow the topology file until cancelled: the edges' rules, and who takes writes when the registry moves."""
        await together(
            keep_edges(self.layout, self.ports, self._programs.nginx),
            self._keep_takers(),
        )

    async def _keep_takers(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._look_at_takers()
            except FarshoreError as error:
                self._tell(Notice(f"registry of {self.primary}", Stage.ENDED, None, str(error)))

    async def _look_at_takers(self) -> None:
        target = self._target()
        self._read_topology()  # not before: a move that is over meanwhile has its new primary in there
        writable = bool(target) and await self._is_writable(target)
        wanted = takers(self.primary, target, target_is_writable=writable, now=self._takers)
        for site in sorted(wanted ^ self._takers):
            before, self._takers = self._takers, self._takers ^ {site}
            try:
                self._write_registry(site_plan(site))
                await self.stop_part(f"registry-{site}")
                await self.start_part(f"registry-{site}")
            except FarshoreError:
                self._takers = before  # the next look tries again
                raise

    def _read_topology(self) -> None:
        try:
            text = self.layout.topology_file.read_text(encoding="utf-8")
            if text == self._text:
                return
            self._text = text
            found = parse_topology(text, str(self.layout.topology_file))
            if standing_of(found) is not None:
                self.topology = found
                self._write_endpoints()
        except (OSError, UnicodeDecodeError, TopologyError):
            return  # somebody is writing it; what is wrong with it for longer, the edges' agents say

    def _target(self) -> str:
        """Where a move that holds writes wants the registry; '' where none does."""
        for site in SITES:
            hold = HoldFiles(str(self.layout.hold_dir(site.name)), REGISTRY).read(site.name)
            if hold is not None and hold.target in {other.name for other in SITES}:
                return hold.target
        return ""

    async def _is_writable(self, site: str) -> bool:
        entry = self.topology.sites.get(site)
        if entry is None:
            return False
        async with OntapCluster(site, entry.ontap) as cluster:
            volume = await cluster.volume(VOLUME)
        return volume is not None and volume.type == "rw"

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
        document = endpoints(self.layout, self.ports, self._passwords, self.processes(), self.primary)
        write(self.layout.endpoints_file, json.dumps(document, indent=2) + "\n", PRIVATE)

    def _write_configuration(self) -> None:
        write(self.layout.ports_file, json.dumps(dict(self.ports.by_name), indent=2) + "\n")
        write(self.layout.topology_file, self._text)
        for site in SITES:
            self._write_registry(site)
            self._write_edge(site)

    def _write_registry(self, site: SitePlan) -> None:
        name = f"registry-{site.name}"
        target = NotificationTarget(
            f"{self.ports.url('receiver')}/v1/notifications/{REGISTRY}", ensure_secret(self.layout.token_file)
        )
        taking = site.name in self._takers
        text = registry_config(
            self.layout.export(site.name),
            self.ports.address(name),
            ensure_secret(self.layout.registry_secret_file),
            read_only=not taking,
            notify=target if taking else None,
        )
        write(self.layout.config_file(f"{name}.yaml"), text, PRIVATE)

    def _write_edge(self, site: SitePlan) -> None:
        self.layout.edge_dir(site.name).mkdir(parents=True, exist_ok=True)
        self.layout.log_file("edge").parent.mkdir(parents=True, exist_ok=True)
        runtime = edge_runtime(self.layout, self.ports, site.name)
        write(edge_config(self.layout, site.name), render(self.topology, site.name, runtime))

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
        simulator = self.simulator(site.name)

        async def register_writer(pid: int) -> None:
            await simulator.set_writers(site, [pid] if site.name in self._takers else [])

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


def _standing(topology_file: Path) -> Standing:
    """Where the last run left the registry; a file that isn't there, or that can't be used, is written anew."""
    try:
        return standing_of(load_topology(topology_file)) or Standing()
    except TopologyError:
        return Standing()
