"""The topology's model: frozen objects that have been checked, each on its own and against one another."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from farshore.topology.fields import (
    HttpUrl,
    ListenAddress,
    Name,
    Platform,
    PositiveSeconds,
    Prefix,
    Seconds,
    SecretReference,
)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)


class SiteModel(StrEnum):
    """Where a site's storage runs; all three speak the same ONTAP REST API."""

    ON_PREM = "on-prem"
    ADJACENT = "adjacent"
    CLOUD = "cloud"


class EventDestination(_Part):
    """Where a cluster posts its own events; farshore needs none, an alarm system may."""

    url: HttpUrl
    """What the cluster posts to, as XML."""
    filters: list[str] = Field(default=["important-events"], min_length=1)
    """EMS filters that exist on the cluster and choose what is posted."""


class Cluster(_Part):
    """The ONTAP cluster and SVM that hold a site's volumes."""

    url: HttpUrl
    """Management address of the cluster or SVM."""
    username: str = "admin"
    """An ONTAP account that may use the REST API."""
    password: SecretReference
    """Where the account's password is."""
    svm: str = Field(min_length=1)
    """The storage virtual machine that has the volumes."""
    ca_file: str | None = None
    """CA bundle for the cluster's certificate; the system's when left out."""
    timeout: PositiveSeconds = 10.0
    """Longest wait for one answer."""
    max_transfers: StrictInt = Field(default=50, ge=1, le=1000)
    """How many transfers farshore lets this cluster receive at once."""
    max_requests: StrictInt = Field(default=8, ge=1, le=64)
    """How many requests farshore sends to this cluster at once."""
    ems: EventDestination | None = None
    """Where `farshore apply` has the cluster post its events; nowhere when left out."""


class Edge(_Part):
    """The site's proxy: what clients at the site talk to."""

    url: HttpUrl
    """The address that clients use."""
    listen: ListenAddress
    """Where nginx listens."""
    certificate: str | None = None
    """PEM file with the edge's certificate and those between it and its CA; without it clients talk plain HTTP."""
    certificate_key: str | None = None
    """PEM file with the certificate's private key, for nginx to read."""
    certificate_ca_file: str | None = None
    """CA bundle that farshore's commands check the edge's certificate against; the system's when left out."""
    ca_file: str | None = None
    """CA bundle that registries behind `https://` are checked against; the edge's `--ca-file` when left out."""

    @model_validator(mode="after")
    def _tls_is_whole(self) -> "Edge":
        if (self.certificate is None) != (self.certificate_key is None):
            raise ValueError("certificate and certificate_key need one another: give both or neither")
        if self.certificate and not self.url.startswith("https://"):
            raise ValueError("with a certificate clients have to use https://, but url begins with http://")
        return self


class Site(_Part):
    """A place with storage, registries and an edge."""

    model: SiteModel
    """Where its storage runs: in a data centre, in one next to a cloud, or in a cloud."""
    ontap: Cluster
    """Its storage."""
    edge: Edge | None = None
    """Its proxy, where there is one."""


class Place(_Part):
    """A registry at one site."""

    site: Name
    """One of `sites`."""
    volume: str = Field(min_length=1)
    """The ONTAP volume that holds the registry's content there."""
    url: HttpUrl
    """The registry's own address there, never the edge's: verification must not fall through to another site."""
    ca_file: str | None = None
    """CA bundle that farshore's services check the certificate of `url` against; the system's when left out."""


class Primary(Place):
    """Where a registry is written."""


class Replica(Place):
    """A site that gets a registry by SnapMirror and serves it read-only."""

    via: Name | None = None
    """Upstream site of a cascade; the primary when left out."""


class Batching(_Part):
    """How events become transfers."""

    settle: Seconds = 0.25
    """An event counts only when it has been known for this long: webhooks fire before the registry writes the tag."""
    min_interval: Seconds = 0.0
    """At least this long between two source snapshots (cost)."""
    max_wait: Seconds = 30.0
    """No event waits longer than this for its snapshot, even while every replica is busy (lag)."""
    urgent: list[str] = []
    """Patterns of `repository:tag`, for instance `prod/*` or `*:release-*`, that don't wait for min_interval."""
    keep: StrictInt = Field(default=2, ge=0, le=500)
    """How many arrived snapshots stay on the source besides those that replicas need."""

    @model_validator(mode="after")
    def _bounds_agree(self) -> "Batching":
        if self.max_wait < self.min_interval:
            raise ValueError("max_wait is shorter than min_interval, so min_interval could never be kept")
        return self

    def is_urgent(self, image: str) -> bool:
        """Whether `image` (`repository:tag` or `repository@digest`) matches one of the urgent patterns."""
        return any(fnmatchcase(image, pattern) for pattern in self.urgent)


class VerificationLevel(StrEnum):
    """How deep the verifier looks; each level includes the ones before it."""

    MANIFEST = "manifest"
    CLOSURE = "closure"
    CONTENT = "content"


class Verification(_Part):
    """What has to be proved before an image is called ready."""

    level: VerificationLevel = VerificationLevel.CONTENT
    """The manifest's bytes, every blob's existence and size too, or every blob's bytes too."""
    platforms: list[Platform] | Literal["all"] = "all"
    """Platforms of an index that have to be there, as `os/architecture[/variant]`, or `all`."""
    retry_for: Seconds = 900.0
    """How long to go on trying before the arrival is given up to the dead letters."""
    timeout: PositiveSeconds = 30.0
    """Longest silence of a site's registry."""
    max_parallel: StrictInt = Field(default=8, ge=1, le=256)
    """How many images are verified at a site at once."""


class Objectives(_Part):
    """What is promised to the users of a registry."""

    ready_within: PositiveSeconds | None = None
    """From push to readiness at each site; a miss is published once as `late`."""


class Notifications(_Part):
    """Who may post notifications for a registry."""

    tokens: list[SecretReference] = Field(min_length=1)
    """Bearer tokens, each accepted. A file may hold several, one a line; it is read again when it changes."""
    head_start: StrictBool = False
    """Count blob pushes too: large layers travel before their manifest exists, at the price of more transfers."""


class Registry(_Part):
    """A set of repositories on one volume: written at the primary, read everywhere."""

    prefix: Prefix = ""
    """Repositories whose name begins with this belong to the registry; '' is every other one."""
    primary: Primary
    """Where it is written."""
    epoch: StrictInt = Field(default=1, ge=1, le=1_000_000)
    """Counts its primaries: `farshore move` adds one, and of two that differ the higher is right."""
    replicas: list[Replica] = []
    """Where it is copied to."""
    notifications: Notifications
    """Who may announce changes of it."""
    batching: Batching = Batching()
    """When changes travel."""
    verification: Verification = Verification()
    """What has to be proved of them."""
    objectives: Objectives = Objectives()
    """What its users are promised."""

    def replica(self, site: str) -> Replica | None:
        """The replica at `site`, if there is one."""
        return next((replica for replica in self.replicas if replica.site == site), None)

    def place_at(self, site: str) -> Place | None:
        """The registry at `site`, if it is there."""
        return self.primary if site == self.primary.site else self.replica(site)


@dataclass(frozen=True, slots=True)
class Relationship:
    """One registry's volume and one of its replicas: what SnapMirror keeps in step."""

    registry: str
    site: str
    volume: str
    source_site: str
    """Where the transfer reads: the primary, or the upstream site of a cascade."""
    source_volume: str

    @property
    def name(self) -> str:
        """`registry.site`, as in Kafka keys and consumer groups."""
        return f"{self.registry}.{self.site}"

    @property
    def consumer_group(self) -> str:
        """The group whose committed offset is the position up to which arrivals have been published."""
        return f"farshore.coalescer.{self.name}"


class Topology(_Part):
    """Everything that farshore knows of the world by configuration."""

    version: Literal[1]
    """The version of this format."""
    sites: dict[Name, Site] = Field(min_length=1)
    """The places, by their names."""
    registries: dict[Name, Registry] = Field(min_length=1)
    """The registries, by their names."""

    @model_validator(mode="after")
    def _parts_agree(self) -> "Topology":
        problems = [*_registry_problems(self), *_volume_problems(self), *_prefix_problems(self)]
        if problems:
            raise ValidationError.from_exception_data("Topology", [problem.details() for problem in problems])
        return self

    def relationships(self, registry: str) -> list[Relationship]:
        """The relationships of `registry`, in the order of its replicas."""
        entry = self.registries[registry]
        found = []
        for replica in entry.replicas:
            upstream = entry.replica(replica.via) if replica.via else None
            source = upstream or entry.primary
            found.append(Relationship(registry, replica.site, replica.volume, source.site, source.volume))
        return found

    def all_relationships(self) -> list[Relationship]:
        """Those of all registries, in the order of the file."""
        return [one for registry in self.registries for one in self.relationships(registry)]

    def relationships_by_hop(self) -> Iterator[list[Relationship]]:
        """All relationships in groups: those of one group need only what earlier groups filled."""
        filled = {(name, registry.primary.site) for name, registry in self.registries.items()}
        waiting = self.all_relationships()
        while waiting:
            hop = [one for one in waiting if (one.registry, one.source_site) in filled]
            yield hop
            filled |= {(one.registry, one.site) for one in hop}
            waiting = [one for one in waiting if one not in hop]


class _Problem(NamedTuple):
    """Two parts of a topology that don't fit, and where."""

    location: tuple[str | int, ...]
    text: str

    def details(self) -> InitErrorDetails:
        kind = PydanticCustomError("topology", "{problem}", {"problem": self.text})
        return InitErrorDetails(type=kind, loc=self.location, input=None)


def _places(topology: Topology) -> Iterator[tuple[str, tuple[str | int, ...], Place]]:
    """Every place with its registry and its location in the file."""
    for name, registry in topology.registries.items():
        yield name, ("registries", name, "primary"), registry.primary
        for number, replica in enumerate(registry.replicas):
            yield name, ("registries", name, "replicas", number), replica


def _registry_problems(topology: Topology) -> Iterator[_Problem]:
    seen: set[tuple[str, str]] = set()
    for name, location, place in _places(topology):
        if place.site not in topology.sites:
            text = f"registry {name} names the site {place.site}, which is not under sites"
            yield _Problem((*location, "site"), text)
        if (name, place.site) in seen:
            yield _Problem((*location, "site"), f"registry {name} names the site {place.site} twice")
        seen.add((name, place.site))
    for name, registry in topology.registries.items():
        upstream = {replica.site: replica.via for replica in registry.replicas}
        for number, replica in enumerate(registry.replicas):
            if problem := _cascade_problem(replica, registry.primary.site, upstream):
                yield _Problem(("registries", name, "replicas", number, "via"), f"registry {name}: {problem}")


def _cascade_problem(replica: Replica, primary: str, upstream: dict[str, str | None]) -> str | None:
    if replica.via == primary:
        return f"{replica.site} gets its copy from the primary anyway: leave via out"
    if replica.via is not None and replica.via not in upstream:
        return f"{replica.site} gets its copy via {replica.via}, which is not one of its replicas"
    passed = {replica.site}
    step = replica.via
    while step is not None and step in upstream:
        if step in passed:
            return f"the cascade of {replica.site} comes back to {step}"
        passed.add(step)
        step = upstream[step]
    return None


def _volume_problems(topology: Topology) -> Iterator[_Problem]:
    owner: dict[tuple[str, str], str] = {}
    for name, location, place in _places(topology):
        other = owner.setdefault((place.site, place.volume), name)
        if other != name:
            text = f"registries {other} and {name} share the volume {place.volume} at {place.site}"
            yield _Problem((*location, "volume"), text)


def _prefix_problems(topology: Topology) -> Iterator[_Problem]:
    owner: dict[str, str] = {}
    for name, registry in topology.registries.items():
        other = owner.setdefault(registry.prefix, name)
        if other != name:
            text = f"registries {other} and {name} have the same prefix {registry.prefix!r}"
            yield _Problem(("registries", name, "prefix"), text)
