"""Where a site's edge finds each registry: its primary and, where the site has one, its replica."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from farshore.errors import ConfigurationError
from farshore.topology import Registry, Topology

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Upstream:
    """A registry process, as nginx needs it."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Upstream":
        """The upstream that a topology's `url` names."""
        parts = urlsplit(url)
        if parts.hostname is None:
            raise ConfigurationError("read address", url, "it has no host")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return cls(parts.scheme, host, parts.port or _DEFAULT_PORTS[parts.scheme])

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Route:
    """One registry as seen from one site. `local` is the site's read-only replica; None where it has none.

    At the primary's own site there is one upstream, the primary: it knows everything.
    """

    registry: str
    prefix: str
    primary: Upstream
    local: Upstream | None
    primary_site: str
    epoch: int

    @property
    def upstreams(self) -> list[tuple[str, Upstream]]:
        """The registry's upstreams, each with nginx's name for it."""
        named = [(f"primary_{self.registry}", self.primary)]
        if self.local is not None:
            named.append((f"local_{self.registry}", self.local))
        return named


def routes_of(topology: Topology, site: str) -> list[Route]:
    """The routes of `site`'s edge, longest prefix first, so that the first that matches is the right one.

    Raises ConfigurationError where the topology has no such site.
    """
    if site not in topology.sites:
        known = ", ".join(topology.sites)
        raise ConfigurationError("render edge", site, "the topology has no such site", hint=f"it has {known}")
    routes = [_route(name, registry, site) for name, registry in topology.registries.items()]
    return sorted(routes, key=lambda route: (-len(route.prefix), route.registry))


def _route(name: str, registry: Registry, site: str) -> Route:
    replica = registry.replica(site)
    return Route(
        registry=name,
        prefix=registry.prefix,
        primary=Upstream.of(registry.primary.url),
        local=Upstream.of(replica.url) if replica else None,
        primary_site=registry.primary.site,
        epoch=registry.epoch,
    )
