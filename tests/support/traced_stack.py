"""A whole stack whose services export their spans to a collector, and two images that one batch brought everywhere."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiokafka import ConsumerRecord
from farshore_command import end_of, start_farshore
from kafka_log import read_topic
from local_stack import LocalStack
from otlp_collector import OtlpCollector, Span, SpanId, id_of
from stack_images import push_image
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.topics import EVENTS, READINESS, Topic
from farshore.records.cloudevent import CloudEvent
from farshore.records.readiness import Readiness, ReadinessState
from farshore.topology import Batching
from farshore_cli.demo.scenario import Push
from farshore_cli.tools.find import Tools

SITES = ("fra", "syd")
SERVICES = {"farshore-receiver", "farshore-coalescer", "farshore-verifier"}


@dataclass
class TracedStack:
    """`push_as_one_batch` first; what the collector got by then is whole."""

    stack: LocalStack
    collector: OtlpCollector
    tools: Tools
    folder: Path
    images: list[Push] = field(default_factory=list)
    readiness: dict[tuple[str, str], SpanId] = field(default_factory=dict)
    """By image and site: the span that the record which says that it is ready carries on."""

    @property
    def kafka(self) -> str:
        """`host:port` of its broker."""
        return str(self.stack.endpoints["kafka"]["bootstrap_servers"])

    async def push_as_one_batch(self) -> None:
        """Behind a fence no snapshot is taken, so the first one after it serves all pushes that have settled by then.
        Returns when all is told."""
        where = ("--topology", self.stack.endpoints["topology"], "--kafka", self.kafka)
        held, end = self.folder / "held", self.folder / "end"
        wait = f"touch {held}; while [ ! -e {end} ]; do sleep 0.05; done"
        fence = await start_farshore("fence", *where, "main", "--for", "10m", "--", "sh", "-c", wait)
        try:
            await wait_until(held.exists, 60, "the fence to hold")
            for name in ("one", "two"):
                pushed = await push_image(self.stack, self.tools, self.folder, f"team/{name}")
                self.images.append(pushed.push)
            await wait_until(self._are_known, 60, "both events at the coalescer")
            settled = time.monotonic() + Batching().settle
            await wait_until(lambda: time.monotonic() > settled, 10, "them to have settled")
        finally:
            end.touch()
        done = await end_of(fence)
        assert done.code == 0, done.err
        await wait_until(self._is_told, 90, "both images ready everywhere")
        await wait_until(self._is_received, 60, "the spans")

    async def _are_known(self) -> bool:
        """Whether the coalescer knows of all pushes."""
        pushed = [
            record.offset
            for record in await self.read_all(EVENTS)
            if dict(record.headers)["ce_type"] == b"io.farshore.manifest.pushed.v1"
        ]
        url = f"{self.stack.endpoints['coalescer']['url']}/v1/relationships"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            heads = [entry["head"] for entry in await answer.json()]
        return len(pushed) >= len(self.images) and len(heads) == len(SITES) and min(heads) > max(pushed)

    async def _is_told(self) -> bool:
        for record in await self.read_all(READINESS):
            envelope = CloudEvent.from_record(record.headers, record.value, "readiness")
            said = Readiness.from_json(record.value, "readiness")
            if said.state in (ReadinessState.READY, ReadinessState.READY_EVERYWHERE):
                assert envelope.traceparent is not None
                self.readiness[f"{said.repository}:{said.tag}", said.site] = id_of(envelope.traceparent)
        return len(self.readiness) == len(self.images) * (len(SITES) + 1)

    def _is_received(self) -> bool:
        """A parent is exported after its children, and a link's span may be another process's."""
        spans = self.collector.spans
        wanted = {*self.readiness.values()}
        for span in spans.values():
            if span.service in SERVICES:
                wanted |= {*span.links, *([span.parent] if span.parent else [])}
        return wanted <= spans.keys()

    async def read_all(self, topic: Topic) -> list[ConsumerRecord[bytes, bytes]]:
        """All that is in a topic now."""
        return await read_topic(Bus(self.kafka), topic)

    def span(self, which: SpanId) -> Span:
        """The span as it was received."""
        return self.collector.spans[which]

    def path(self, last: SpanId) -> list[Span]:
        """From the root to this span."""
        found = [self.span(last)]
        while found[0].parent is not None:
            found.insert(0, self.span(found[0].parent))
        return found

    def below(self, parent: Span, name: str) -> list[Span]:
        """The spans of that name whose parent it is."""
        return [span for span in self.collector.spans.values() if span.parent == parent.id and span.name == name]

    def path_of(self, image: Push, site: str) -> list[Span]:
        """From the push to the record which says that the image is ready at the site."""
        return self.path(self.readiness[image.reference, site])

    def batch_of(self, image: Push, site: str) -> list[Span]:
        """The path to the span that published the image's arrival at the site together with others."""
        (link,) = self.path_of(image, site)[2].links
        return self.path(link)
