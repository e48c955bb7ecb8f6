"""One registry in one run: what is asked, in which order, and what is announced.

The registries are asked before the log is read, so that an event that was accepted before its tag was seen is known.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, nullcontext
from datetime import datetime

from aiokafka import AIOKafkaProducer
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from farshore.bus.topics import EVENTS
from farshore.oci import Repository
from farshore.records.events import Event
from farshore.registry import RegistryClient
from farshore.telemetry import current_traceparent, exporting, next_traceparent
from farshore.telemetry import event as log_event
from farshore.telemetry.spans import sends, span
from farshore.topology import Registry, Topology
from farshore_reconciler import metrics
from farshore_reconciler.announce import missing_event
from farshore_reconciler.judge import Cause, Missing, Remark, Rules, judge
from farshore_reconciler.knowledge import Knowledge
from farshore_reconciler.look import Place, PlaceUnknownError
from farshore_reconciler.options import Options
from farshore_reconciler.read_log import LogReader
from farshore_reconciler.report import RegistryReport

log = logging.getLogger(__name__)
_tracer = trace.get_tracer("farshore.reconciler")

_AT_ONCE = 1000
_UNPROVEN = "it serves no image that readiness knows: its content may not be mounted"


class RegistryRun:
    """`look`, then `look_again` where there are candidates, then `finish`. Clients are closed with `resources`."""

    def __init__(
        self,
        name: str,
        topology: Topology,
        options: Options,
        knowledge: Knowledge,
        reader: LogReader,
        producer: AIOKafkaProducer,
        now: Callable[[], datetime],
        resources: AsyncExitStack,
    ) -> None:
        self.name = name
        self.report = RegistryReport(name)
        self.candidates = 0
        """How many names the first look found missing."""
        self._registry = topology.registries[name]
        self._owns = _ownership(name, topology.registries)
        self._options = options
        self._knowledge = knowledge
        self._reader = reader
        self._producer = producer
        self._now = now
        self._resources = resources
        self._primary: Place | None = None
        self._places: list[Place] = []

    @property
    def replicas(self) -> tuple[str, ...]:
        """The replica sites."""
        return tuple(replica.site for replica in self._registry.replicas)

    async def client(self, site: str) -> RegistryClient:
        """A client of the registry at `site`."""
        place, timeout = self._registry.place_at(site), self._registry.verification.timeout
        if place is None:
            raise ValueError(f"{self.name} is not at {site}")
        client = RegistryClient(place.url, timeout_seconds=timeout, ca_file=place.ca_file)
        return await self._resources.enter_async_context(client)

    async def look(self) -> None:
        """Ask the primary and the wanted sites for all they have, and find what is missing."""
        primary = Place(
            self.name, self._registry.primary.site, await self.client(self._registry.primary.site), self._knowledge
        )
        try:
            await primary.list_all(self._owns)
            for site in self.replicas:
                if site in self._options.sites:
                    await self._look_at(Place(self.name, site, await self.client(site), self._knowledge))
            for page in self._knowledge.to_ask(self.name, primary.site):
                await primary.ask(page)
        except PlaceUnknownError as error:
            self.unknown(error.subject, error.reason)
            return
        finally:
            self.report.repositories = primary.looked.repositories
        self._primary = primary
        await self._reader.catch_up()
        self._find_candidates(await self._rules(primary))

    async def _look_at(self, place: Place) -> None:
        try:
            await place.list_all(self._owns)
            for page in self._knowledge.to_ask(self.name, place.site):
                await place.ask(page)
        except PlaceUnknownError as error:
            self.unknown(error.subject, error.reason)
            self._knowledge.disregard(self.name, place.site)
        else:
            self._places.append(place)

    async def _rules(self, primary: Place) -> Rules:
        """Who has proved itself; asked after the names, so that a volume that went away meanwhile proves nothing."""
        proven = frozenset([place.site for place in self._places if await place.is_proven()])
        lost = self._reader.lost_before(self.name)
        return Rules(primary.site, self.replicas, proven, await primary.is_proven(), lost)

    def _find_candidates(self, rules: Rules) -> None:
        found: list[Missing] = []
        for facts in self._knowledge.facts(self.name):
            self.report.names += 1
            for finding in judge(facts, rules):
                if isinstance(finding, Missing):
                    self.candidates += 1
                    found.append(finding)
                    continue
                self.report.remark(finding)
                if finding.remark is Remark.UNKNOWN:
                    metrics.unknown.labels(self.name, finding.site).inc()
            if len(found) >= _AT_ONCE:
                self._knowledge.propose(self.name, found)
                found.clear()
        self._knowledge.propose(self.name, found)
        if self.report.names:  # a new registry has nothing that a site could prove itself by, or could lack
            for place in self._places:
                if place.site not in rules.looked_at:
                    self.unknown(place.site, _UNPROVEN)

    async def look_again(self) -> None:
        """Ask again for what was missing, and announce what still is; beyond the limit no deletion at all."""
        if self._primary is None or self.candidates == 0:
            return
        try:
            for place in (*self._places, self._primary):
                for page in self._knowledge.candidates(self.name):
                    await place.ask(page)
        except PlaceUnknownError as error:
            self.unknown(error.subject, error.reason)
            self.report.unsettled = self.candidates
            return
        await self._reader.catch_up()
        rules = await self._rules(self._primary)
        found = sum(missing.cause is Cause.LOST_DELETE for missing in self._still_missing(rules))
        self.report.deletion_limit = self._options.max_deletions.of(self._knowledge.ready_names(self.name))
        if found > self.report.deletion_limit:
            self.report.deletions_stopped = found
            metrics.stopped.labels(self.name).inc()
        await self._announce_all(rules)

    async def _announce_all(self, rules: Rules) -> None:
        settled = 0
        page: list[Missing] = []
        for missing in self._still_missing(rules):
            settled += 1
            if missing.cause is Cause.LOST_DELETE and self.report.deletions_stopped:
                continue
            page.append(missing)
            if len(page) == _AT_ONCE:
                await self._announce(page)
                page.clear()
        await self._announce(page)
        self.report.unsettled = self.candidates - settled

    def _still_missing(self, rules: Rules) -> Iterator[Missing]:
        for facts in self._knowledge.facts(self.name, candidates_only=True):
            for finding in judge(facts, rules):
                if isinstance(finding, Missing) and self._knowledge.is_candidate(self.name, finding):
                    yield finding

    async def _announce(self, page: list[Missing]) -> None:
        now = self._now()
        for missing in page:
            self.report.announce(missing)
        if self._options.dry_run:
            return
        acknowledgements = [await self._send(missing_event(self.name, missing, now)) for missing in page]
        for missing, acknowledgement in zip(page, acknowledgements, strict=True):
            await acknowledgement
            metrics.missing.labels(self.name, missing.cause.value).inc()
            values = {"kind": missing.kind.value, "cause": missing.cause.value, "sites": list(missing.sites)}
            message = "a missing event announced"
            log_event(log, logging.WARNING, message, registry=self.name, image=str(missing.name), **values)

    async def _send(self, event: Event) -> Awaitable[object]:
        """Hand an event to the producer, at the beginning of a trace."""
        key = self.name.encode()
        attributes = {**sends(EVENTS.name), "messaging.kafka.message.key": self.name}
        traced = span(_tracer, f"send {EVENTS.name}", SpanKind.PRODUCER, attributes, context=Context())
        with traced if exporting() else nullcontext():
            record = event.to_cloudevent(traceparent=current_traceparent() or next_traceparent(None))
            acknowledgement: Awaitable[object] = await self._producer.send(
                EVENTS.name, record.data, key=key, headers=record.headers()
            )
        return acknowledgement

    def unknown(self, site: str, reason: str) -> None:
        """Something at `site` couldn't be found out."""
        self.report.unknown.append(f"{self.name} at {site}: {reason}")
        metrics.unknown.labels(self.name, site).inc()
        log_event(log, logging.WARNING, "a registry is unknown", registry=self.name, site=site, reason=reason)

    def finish(self) -> RegistryReport:
        """The report."""
        if not self.report.is_unknown:
            metrics.completed.labels(self.name).set(self._now().timestamp())
        return self.report


def _ownership(name: str, registries: Mapping[str, Registry]) -> Callable[[Repository], bool]:
    """Whether a repository belongs to the registry `name`: the longest prefix decides, as in the receiver."""
    prefixes = sorted(((entry.prefix, owner) for owner, entry in registries.items()), key=lambda pair: -len(pair[0]))

    def owns(repository: Repository) -> bool:
        return next((owner for prefix, owner in prefixes if repository.startswith(prefix)), None) == name

    return owns
