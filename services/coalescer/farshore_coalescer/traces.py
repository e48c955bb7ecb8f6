"""The spans of one registry's batches, where traces are exported.

A snapshot serves many pushes, so it begins a trace of its own, to which its transfers and the arrivals that they lead
to belong. Links lead from its spans to those that wrote the events. Nothing is decided by what is known here.
"""

import contextlib
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aiokafka import ConsumerRecord
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from farshore.ontap.model import Transfer
from farshore.telemetry import current_traceparent, exporting
from farshore.telemetry.spans import fail, span
from farshore.telemetry.traces import links_to
from farshore.topology import Relationship
from farshore_coalescer.snapshot_names import Log

MOST_EVENTS = 128
"""Of the newest events it is remembered which span wrote them; older ones have no link, and know their batch all the
same (`Passage.batch_trace`)."""
MOST_BATCHES = 128
"""Snapshots and transfers whose spans are remembered, for what follows from them."""

_TRACER = trace.get_tracer("farshore.coalescer")


@dataclass(slots=True)
class _Transfer:
    span: Span
    uuid: str | None = None
    ended: bool = False


class BatchTraces:
    """Snapshots and transfers of one registry in this process. A transfer that another process began is known from when
    it was first seen here."""

    def __init__(self, registry: str, log: Log) -> None:
        self._registry = registry
        self._log = log
        self._events: deque[tuple[int, str]] = deque(maxlen=MOST_EVENTS)
        self._contexts: OrderedDict[str, Context] = OrderedDict()
        self._transfers: dict[str, _Transfer] = {}
        self._covered = 0

    def saw(self, record: ConsumerRecord[bytes, bytes]) -> None:
        """An event of the registry, whose headers tell which span wrote it."""
        if exporting() and (traceparent := dict(record.headers).get("traceparent")):
            self._events.append((record.offset, traceparent.decode(errors="replace")))

    @contextlib.contextmanager
    def snapshot(self, name: str, cover: int) -> Iterator[None]:
        """The span in which a snapshot is taken."""
        if not exporting():
            yield
            return
        links = self._links(self._covered, cover)
        # a root: what happens to run this may belong to another trace
        with span(_TRACER, "take snapshot", attributes=self._about(name), context=Context(), links=links) as taking:
            self._remember(name, taking)
            yield
        self._covered = cover

    @contextlib.contextmanager
    def start(self, relationship: Relationship, snapshot: str, there: int) -> Iterator[None]:
        """Begin a transfer's span, of the events in [there, cover): it is the current one inside, and ends here only
        when starting fails."""
        if not exporting():
            yield
            return
        begun = self._begin(relationship, snapshot, there)
        try:
            with trace.use_span(begun.span, record_exception=False, set_status_on_exception=False):
                yield
        except Exception as error:
            fail(begun.span, type(error).__name__, str(error))
            self.ended(relationship.site)
            raise

    def started(self, site: str, transfer: str) -> str | None:
        """The transfer that was begun has this uuid; returns the span's `traceparent`."""
        begun = self._transfers.get(site)
        if begun is None:
            return None
        begun.uuid = transfer
        begun.span.set_attribute("farshore.transfer", transfer)
        self._remember(transfer, begun.span)
        return _traceparent(begun.span)

    def seen(self, relationship: Relationship, transfer: Transfer, snapshot: str, there: int) -> str | None:
        """A transfer as it is now, whoever began it; returns the span's `traceparent`."""
        if not exporting():
            return None
        begun = self._transfers.get(relationship.site)
        if begun is None or begun.uuid != transfer.uuid:
            self.ended(relationship.site)
            begun = self._begin(relationship, snapshot, there)
            self.started(relationship.site, transfer.uuid)
        if not transfer.active and not begun.ended:
            begun.span.set_attribute("farshore.logical_bytes", transfer.bytes_transferred)
            if transfer.state != "success":
                fail(begun.span, "transfer", transfer.error_message or transfer.state)
            self.ended(relationship.site)
        return _traceparent(begun.span)

    def brought(self, transfer: str | None) -> Context:
        """The context of the transfer's span, for what follows from it; an empty one where that isn't known."""
        return self._contexts.get(transfer or "", Context())

    def ended(self, site: str) -> None:
        """The transfer to a site has ended, or is somebody else's from now on."""
        begun = self._transfers.get(site)
        if begun is not None and not begun.ended:
            begun.ended = True
            begun.span.end()

    def close(self) -> None:
        """Others look after the transfers now."""
        for site in self._transfers:
            self.ended(site)

    def _begin(self, relationship: Relationship, snapshot: str, there: int) -> _Transfer:
        self.ended(relationship.site)
        cover = self._log.cover_of(snapshot)
        attributes = {
            **self._about(snapshot),
            "farshore.relationship": relationship.name,
            "farshore.site": relationship.site,
        }
        begun = _Transfer(
            _TRACER.start_span(
                "transfer",
                self._contexts.get(snapshot, Context()),
                attributes=attributes,
                links=self._links(there, cover) if cover is not None else (),
            )
        )
        self._transfers[relationship.site] = begun
        return begun

    def _remember(self, name: str, span: Span) -> None:
        self._contexts[name] = trace.set_span_in_context(span, Context())
        if len(self._contexts) > MOST_BATCHES:
            self._contexts.popitem(last=False)

    def _about(self, snapshot: str) -> Mapping[str, AttributeValue]:
        return {"farshore.registry": self._registry, "farshore.snapshot": snapshot}

    def _links(self, start: int, end: int) -> list[trace.Link]:
        return links_to(traceparent for offset, traceparent in self._events if start <= offset < end)


def _traceparent(span: Span) -> str | None:
    return current_traceparent(trace.set_span_in_context(span, Context()))
