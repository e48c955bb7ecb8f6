"""What a local stack consists of, and where each thing lies below the state folder. Pure."""

from dataclasses import dataclass
from pathlib import Path

REGISTRY = "main"
VOLUME = "registry"
ONTAP_USER = "admin"


@dataclass(frozen=True, slots=True)
class Link:
    """A link from the primary's cluster: one-way latency in milliseconds, megabits per second (0: no limit)."""

    latency_ms: float = 0.0
    megabits_per_second: float = 0.0


@dataclass(frozen=True, slots=True)
class SitePlan:
    """One of the demo's sites."""

    name: str
    model: str
    link: Link = Link()

    @property
    def svm(self) -> str:
        """The SVM that holds its volume."""
        return f"svm_{self.name}"

    @property
    def cluster(self) -> str:
        """Its ONTAP cluster's name."""
        return f"cluster-{self.name}"


PRIMARY = SitePlan("nyc", "on-prem")
REPLICAS = (SitePlan("fra", "adjacent"), SitePlan("syd", "cloud", Link(latency_ms=30, megabits_per_second=50)))
SITES = (PRIMARY, *REPLICAS)


SCALED_SERVICES = ("coalescer", "verifier")
"""The services of which several instances share the work by themselves."""

APART = "reconciler"
"""The service that nothing waits for: it is started when all others are ready."""


def instance_names(service: str, instances: int) -> tuple[str, ...]:
    """The part names of a service's instances: `verifier`, `verifier-2`, …"""
    return (service, *(f"{service}-{number}" for number in range(2, instances + 1)))


def site_plan(name: str) -> SitePlan:
    """The site of that name."""
    return next(site for site in SITES if site.name == name)


@dataclass(frozen=True, slots=True)
class Layout:
    """Files and folders of one stack. `root` is absolute."""

    root: Path

    @property
    def lock_file(self) -> Path:
        return self.root / "lock"

    @property
    def ports_file(self) -> Path:
        return self.root / "ports.json"

    @property
    def topology_file(self) -> Path:
        return self.root / "topology.yaml"

    @property
    def endpoints_file(self) -> Path:
        return self.root / "endpoints.json"

    @property
    def kafka_dir(self) -> Path:
        return self.root / "kafka"

    def log_file(self, part: str) -> Path:
        """Where a part's output goes."""
        return self.root / "logs" / f"{part}.log"

    def cluster_dir(self, site: str) -> Path:
        """What the site's simulated cluster keeps."""
        return self.root / "clusters" / site

    def export(self, site: str) -> Path:
        """What the site's registry serves: the volume as clients of the cluster see it."""
        return self.cluster_dir(site) / "export" / site_plan(site).svm / VOLUME

    def config_file(self, part: str) -> Path:
        """A part's generated configuration; it may hold secrets."""
        return self.root / "config" / part

    def edge_dir(self, site: str) -> Path:
        """Where the site's nginx has its pid and temporary files."""
        return self.root / "edges" / site

    def hold_dir(self, site: str) -> Path:
        """Where the site's edge looks for hold files; with `{site}` for the name, as `farshore move` takes it."""
        return self.edge_dir(site) / "holds"

    def secret_file(self, name: str) -> Path:
        """A generated secret."""
        return self.root / "secrets" / name

    def password_file(self, site: str) -> Path:
        """The password of the site's cluster."""
        return self.secret_file(f"ontap-{site}")

    @property
    def token_file(self) -> Path:
        """The bearer token of the primary registry's notifications."""
        return self.secret_file("notification-token")

    @property
    def registry_secret_file(self) -> Path:
        """What the registries sign upload sessions with."""
        return self.secret_file("registry-http-secret")
