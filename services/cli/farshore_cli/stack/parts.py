"""The processes of a local stack: command line, environment, log and readiness of each. Pure but for the probes."""

import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from farshore.bus.access_settings import AccessSettings
from farshore.bus.access_settings import variable as access_variable
from farshore_cli.stack.layout import APART, ONTAP_USER, SCALED_SERVICES, SITES, Layout, SitePlan, instance_names
from farshore_cli.stack.ports import RECEIVER_MANAGEMENT, Ports
from farshore_cli.stack.probes import http_answers, kafka_serves
from farshore_cli.supervisor import Part

KAFKA_NODE = 1


@dataclass(frozen=True, slots=True)
class Programs:
    """The outside programs that the parts run."""

    nginx: Path
    registry: Path


@dataclass(frozen=True, slots=True)
class Parts:
    """Makes the parts of one stack."""

    layout: Layout
    ports: Ports
    programs: Programs

    def kafka(self, command: list[str], log_dir: Path) -> Part:
        """The broker; `command` is its command line."""
        probe = kafka_serves(self.ports.by_name["kafka"], log_dir, KAFKA_NODE)
        return self._part("kafka", command, probe)

    def cluster(self, site: SitePlan, started: Callable[[int], Awaitable[None]]) -> Part:
        """The site's simulated ONTAP cluster. `started` is called each time it answers."""
        peers = [other for other in SITES if other != site]
        command = [
            *_python("farshore_ontap_simulator"),
            *("--name", site.cluster, "--svm", site.svm),
            *("--state-dir", str(self.layout.cluster_dir(site.name))),
            *("--listen", self.ports.address(f"ontap-{site.name}")),
            *("--intercluster", self.ports.address(f"intercluster-{site.name}")),
            *("--username", ONTAP_USER, "--password-file", str(self.layout.password_file(site.name))),
        ]
        for peer in peers:
            command += ["--peer", f"{peer.cluster}={self.ports.address(f'intercluster-{peer.name}')}"]
        name = f"ontap-{site.name}"
        ready = http_answers(self.ports.url(name) + "/sim/health")
        return self._part(name, command, ready, site=site.name, started=started)

    def registry(self, site: SitePlan, started: Callable[[int], Awaitable[None]]) -> Part:
        """The site's registry over its volume. `started` is called with the pid each time it answers."""
        name = f"registry-{site.name}"
        command = [str(self.programs.registry), "serve", str(self.layout.config_file(f"{name}.yaml"))]
        return self._part(
            name,
            command,
            http_answers(self.ports.url(name) + "/v2/"),
            site=site.name,
            started=started,
            environ={"OTEL_TRACES_EXPORTER": "none"},  # 3.x otherwise looks for a collector every few seconds
        )

    def edge(self, site: SitePlan) -> Part:
        """The site's nginx."""
        name = f"edge-{site.name}"
        config = self.layout.config_file(f"{name}.conf")
        # -e: before it has read its configuration, nginx logs to a path that was compiled in
        command = [str(self.programs.nginx), "-e", "stderr", "-c", str(config)]
        ready = http_answers(self.ports.url(name) + "/edge/health")
        # its workers, which no signal of the kernel reaches, end with their master at SIGTERM
        return self._part(name, command, ready, site=site.name, orphaned=signal.SIGTERM)

    def service(self, name: str) -> Part:
        """One instance of one of farshore's own services: `receiver`, `verifier-2`."""
        service = name.partition("-")[0]
        return self._part(
            name,
            _python(f"farshore_{service}"),
            http_answers(self.ports.url(name) + "/readyz"),
            environ={
                # what the user's shell holds is for another Kafka: the stack's own has neither TLS nor login
                **{access_variable(field): "" for field in AccessSettings.model_fields},
                "FARSHORE_TOPOLOGY": str(self.layout.topology_file),
                "FARSHORE_KAFKA_BOOTSTRAP_SERVERS": self.ports.kafka,
                "FARSHORE_LISTEN": self.ports.address(name),
                "FARSHORE_RECEIVER_MANAGEMENT_LISTEN": self.ports.address(RECEIVER_MANAGEMENT),
            },
        )

    def _part(
        self,
        name: str,
        command: list[str],
        ready: Callable[[], Awaitable[bool]],
        *,
        site: str | None = None,
        environ: dict[str, str] | None = None,
        started: Callable[[int], Awaitable[None]] | None = None,
        orphaned: signal.Signals = signal.SIGKILL,
    ) -> Part:
        return Part(
            name=name,
            command=tuple(command),
            log_file=self.layout.log_file(name),
            ready=ready,
            site=site,
            environ=environ or {},
            started=started,
            orphaned=orphaned,
        )


def _python(module: str) -> list[str]:
    return [sys.executable, "-u", "-m", module]


def all_part_names(instances: int = 1, *, own_kafka: bool = True) -> tuple[str, ...]:
    """The names of all parts in the order in which they are started."""
    kafka = ("kafka",) if own_kafka else ()
    per_site = [f"{part}-{site.name}" for part in ("registry", "edge") for site in SITES]
    clusters = [f"ontap-{site.name}" for site in SITES]
    scaled = [name for service in SCALED_SERVICES for name in instance_names(service, instances)]
    return (*kafka, *clusters, "receiver", *per_site, *scaled, APART)
