"""Asks every endpoint of a topology, and services. Only reads: nothing is made or changed anywhere."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial

import aiohttp
from aiokafka.errors import KafkaConnectionError, KafkaError

from farshore.bus.clients import Bus
from farshore.bus.refusals import KafkaRefusedError
from farshore.bus.topics import ALL_TOPICS
from farshore.errors import ConfigurationError, FarshoreError
from farshore.ontap import OntapCluster
from farshore.secrets import read_secret
from farshore.tls import FileSetting, client_context, what_helps, why_not_trusted
from farshore.topology import Place, Registry, Relationship, Site, Topology
from farshore_cli.check.finding import Finding

_TIMEOUT_SECONDS = 10.0
_PLAIN = FileSetting("", "")
"""The CA of what is asked without TLS."""


async def check_endpoints(topology: Topology, bus: Bus | None) -> list[Finding]:
    """Everything at once, in the order of the topology; Kafka only where its address is given."""
    checks: list[Awaitable[list[Finding]]] = []
    if bus is not None:
        checks.append(_kafka(bus))
    checks += [_cluster(topology, name, site) for name, site in topology.sites.items()]
    checks += [_tokens(name, registry) for name, registry in topology.registries.items()]
    checks += [_registry(name, place) for name, registry in topology.registries.items() for place in _places(registry)]
    checks += [_edge(name, site) for name, site in topology.sites.items()]
    return [finding for found in await asyncio.gather(*checks) for finding in found]


async def check_services(urls: Iterable[str]) -> list[Finding]:
    """Whether each service says that it can do its job; in the order given."""
    return list(await asyncio.gather(*(_finding(f"service {url}", partial(_ready, url)) for url in urls)))


def _places(registry: Registry) -> list[Place]:
    return [registry.primary, *registry.replicas]


async def _finding(what: str, ask: Callable[[], Awaitable[str]]) -> Finding:
    """What `ask` tells, or its error."""
    try:
        return Finding(what, detail=await ask())
    except FarshoreError as error:
        return Finding.of(what, error)


async def _kafka(bus: Bus) -> list[Finding]:
    what = f"Kafka {bus.bootstrap_servers}"
    admin = bus.admin(timeout_ms=int(_TIMEOUT_SECONDS * 1000))
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            await admin.start()
            present = set(await admin.list_topics())
    except (KafkaError, OSError, TimeoutError) as error:
        refusal = error if isinstance(error, KafkaRefusedError) else await bus.refusal()
        if refusal is not None:
            return [Finding(refusal.subject, refusal.reason, refusal.hint)]
        return [Finding(what, _why_kafka(error), "start it, or correct the address and the firewall between")]
    finally:
        await admin.close()
    absent = [topic.name for topic in ALL_TOPICS if topic.name not in present]
    if absent:
        return [Finding(what, f"no topic {', '.join(absent)}", "start a service of farshore: it makes them")]
    return [Finding(what, detail=f"{len(ALL_TOPICS)} topics")]


async def _cluster(topology: Topology, name: str, site: Site) -> list[Finding]:
    what = f"ONTAP of {name}, {site.ontap.url}"
    try:
        async with OntapCluster(name, site.ontap) as cluster:
            first = await _finding(what, partial(_version, cluster))
            if not first.ok:
                return [replace(first, hint=first.hint or "start it, or correct its url and the firewall between")]
            return [first, *await _volumes(topology, cluster), *await _replications(topology, cluster)]
    except ConfigurationError as error:  # its password can't be read
        return [Finding.of(what, error)]


async def _volumes(topology: Topology, cluster: OntapCluster) -> list[Finding]:
    return [
        await _finding(
            f"volume {cluster.settings.svm}:{place.volume} at {cluster.site}", partial(_volume, cluster, place.volume)
        )
        for registry in topology.registries.values()
        for place in _places(registry)
        if place.site == cluster.site
    ]


async def _replications(topology: Topology, cluster: OntapCluster) -> list[Finding]:
    found: list[Finding] = []
    for relationship in topology.all_relationships():
        if relationship.site == cluster.site:
            found += await _replication(topology, cluster, relationship)
    return found


async def _version(cluster: OntapCluster) -> str:
    info = await cluster.info()
    return f"{info.name}, {info.version}"


async def _volume(cluster: OntapCluster, name: str) -> str:
    volume = await cluster.find_volume(name)
    if volume.state != "online":
        raise FarshoreError("check volume", name, f"it is {volume.state}", hint="bring it online")
    return (
        f"{volume.type}, mounted at {volume.junction_path}" if volume.junction_path else f"{volume.type}, not mounted"
    )


async def _replication(topology: Topology, cluster: OntapCluster, wanted: Relationship) -> list[Finding]:
    source_svm = topology.sites[wanted.source_site].ontap.svm
    return [
        await _finding(f"peering of {wanted.site} with {wanted.source_site}", partial(_peer, cluster, source_svm)),
        await _finding(f"relationship {wanted.name}", partial(_relationship, topology, cluster, wanted)),
    ]


async def _peer(cluster: OntapCluster, source_svm: str) -> str:
    peers = [peer for peer in await cluster.svm_peers() if peer.usable]
    if not any(peer.name == source_svm for peer in peers):
        names = ", ".join(peer.name for peer in peers) or "none"
        raise FarshoreError(
            "check peers of",
            cluster.site,
            f"the SVM {source_svm} is not peered for SnapMirror (peered: {names})",
            hint="vserver peer create -applications snapmirror, on both sides",
        )
    return source_svm


async def _relationship(topology: Topology, cluster: OntapCluster, wanted: Relationship) -> str:
    destination = f"{cluster.settings.svm}:{wanted.volume}"
    source = f"{topology.sites[wanted.source_site].ontap.svm}:{wanted.source_volume}"
    found = await cluster.find_relationship(destination)
    if found is None:
        raise FarshoreError(
            "find relationship", destination, "there is none", hint="create and initialise it on that cluster"
        )
    if found.source_path != source:
        raise FarshoreError(
            "check relationship", destination, f"its source is {found.source_path}, not {source}", hint="see topology"
        )
    if not found.healthy:
        reasons = "; ".join(found.unhealthy_reasons) or f"it is {found.state}"
        raise FarshoreError("check relationship", destination, reasons, hint="see snapmirror show on that cluster")
    if not found.established:
        raise FarshoreError("check relationship", destination, f"it is {found.state}", hint="initialise or resync it")
    lag = "" if found.lag_seconds is None else f", exported snapshot {found.lag_seconds:.0f} s old"
    return f"{found.state}{lag}"


async def _tokens(name: str, registry: Registry) -> list[Finding]:
    return [
        await _finding(f"notification token of {name}, {reference}", partial(_secret, reference))
        for reference in registry.notifications.tokens
    ]


async def _secret(reference: str) -> str:
    read_secret(reference)
    return "can be read"


async def _registry(name: str, place: Place) -> list[Finding]:
    hint = f"start the registry over {place.volume} at {place.site}, or correct its url"
    ca = FileSetting("ca_file, beside its url,", place.ca_file or "")
    return [await _finding(f"registry {name} at {place.site}, {place.url}", partial(_answers, place.url, hint, ca))]


async def _edge(name: str, site: Site) -> list[Finding]:
    if site.edge is None:
        return []
    url = site.edge.url
    hint = "start nginx with what `farshore-edge render` writes, or correct its url"
    ca = FileSetting(f"sites.{name}.edge.certificate_ca_file", site.edge.certificate_ca_file or "")
    return [await _finding(f"edge of {name}, {url}", partial(_answers, url, hint, ca))]


async def _answers(server: str, hint: str, ca: FileSetting) -> str:
    url = f"{server}/v2/"
    status = await _status(url, hint, ca)
    if status not in (200, 401):  # 401: it wants a login, so it is there
        raise FarshoreError("reach", url, f"it answered {status}", hint=hint)
    return f"answered {status}"


async def _ready(service: str) -> str:
    url = f"{service}/readyz"
    status = await _status(url, "start it, or correct its address and the firewall between", _PLAIN)
    if status != 200:
        reason = "it is not ready" if status == 503 else f"it answered {status}"
        raise FarshoreError("ask", url, reason, hint="see what it waits for in its log")
    return "ready"


async def _status(url: str, hint: str, ca: FileSetting) -> int:
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
    tls = client_context(ca if ca.path else None)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, ssl=tls) as answer:
            return answer.status
    except aiohttp.ClientConnectorCertificateError as error:
        untrusted = error.certificate_error
        raise FarshoreError("reach", url, why_not_trusted(untrusted), hint=what_helps(untrusted, ca.setting)) from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise FarshoreError("reach", url, _why(error), hint=hint) from error


def _why(error: aiohttp.ClientError | TimeoutError) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):  # its own words name the address again, and its TLS settings
        return error.os_error.strerror or "no connection"
    return str(error) or "no answer in time"


def _why_kafka(error: KafkaError | OSError | TimeoutError) -> str:
    if isinstance(error, KafkaConnectionError):  # its own words are Python's
        return "no broker answers there"
    return str(error) or "no answer in time"
