"""Which part listens where: chosen once, kept for the next run of the same state folder."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from farshore.errors import ConfigurationError
from farshore_cli.stack.layout import APART, SCALED_SERVICES, SITES, instance_names

HOST = "127.0.0.1"
RECEIVER_MANAGEMENT = "receiver-management"


def rules_port(site: str) -> str:
    """The name of the port where the site's nginx says which rules it runs."""
    return f"rules-{site}"


def port_names(instances: int = 1) -> tuple[str, ...]:
    """Who needs a port, with so many instances of each of SCALED_SERVICES."""
    return (
        *("kafka", "kafka-controller", "receiver", *SCALED_SERVICES),
        *(f"{part}-{site.name}" for site in SITES for part in ("ontap", "intercluster", "registry", "edge")),
        RECEIVER_MANAGEMENT,
        APART,
        *(rules_port(site.name) for site in SITES),
        *(name for service in SCALED_SERVICES for name in instance_names(service, instances)[1:]),
    )


@dataclass(frozen=True, slots=True)
class Ports:
    """A port for each of `port_names`. `other_kafka`: a Kafka that is there already, in place of an own one."""

    by_name: Mapping[str, int]
    other_kafka: str | None = None

    @property
    def kafka(self) -> str:
        """Kafka's bootstrap servers."""
        return self.other_kafka or self.address("kafka")

    def address(self, name: str) -> str:
        """`host:port`."""
        return f"{HOST}:{self.by_name[name]}"

    def url(self, name: str) -> str:
        """`http://host:port`."""
        return f"http://{self.address(name)}"


def ports_from(base: int, is_free: Callable[[int], bool], names: Sequence[str] = port_names()) -> Ports:
    """Consecutive ports from `base` for `names`; raises ConfigurationError that names the ones in use."""
    ports = {name: base + index for index, name in enumerate(names)}
    if base < 1024 or max(ports.values()) > 65535:
        raise ConfigurationError(
            "choose ports from", str(base), f"{len(names)} ports between 1024 and 65535 are needed"
        )
    taken = [f"{port} ({name})" for name, port in ports.items() if not is_free(port)]
    if taken:
        raise ConfigurationError(
            "choose ports from", str(base), f"in use: {', '.join(taken)}", hint="give another --port-base, or none"
        )
    return Ports(ports)


def ports_again(
    remembered: Mapping[str, int],
    is_free: Callable[[int], bool],
    choose: Callable[[int], Sequence[int]],
    names: Sequence[str] = port_names(),
) -> Ports:
    """The remembered ports that are still free; `choose(count)` gives free ones for the others."""
    kept = {name: remembered[name] for name in names if name in remembered and is_free(remembered[name])}
    wanting = [name for name in names if name not in kept]
    # more than needed, since a free port may be one that is kept
    fresh = [port for port in choose(len(names) + len(wanting)) if port not in set(kept.values())]
    return Ports(kept | dict(zip(wanting, fresh, strict=False)))


def remembered_ports(file: Path) -> dict[str, int]:
    """What the last run used; nothing where there was none or the file isn't whole."""
    try:
        content = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {str(name): port for name, port in content.items() if isinstance(port, int)}
