"""The spans of a registry's batches: what links, what belongs together, and what becomes of those that nobody ends."""

from dataclasses import dataclass

import pytest
from aiokafka import ConsumerRecord
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from farshore.errors import FarshoreError
from farshore.ontap.model import Transfer, TransferState
from farshore.topology import Relationship
from farshore_coalescer import traces
from farshore_coalescer.snapshot_names import Log
from farshore_coalescer.traces import MOST_BATCHES, MOST_EVENTS, BatchTraces

LOG = Log("0a1b2c3d", 0)
SYD = Relationship(registry="main", site="syd", volume="v", source_site="nyc", source_volume="v")


def snapshot_name(cover: int) -> str:
    return LOG.snapshot_name(cover, cover, "0a0a0a0a")


def writer(offset: int) -> int:
    """The id of the span that wrote the event at `offset`."""
    return 1000 + offset


def record(offset: int, traceparent: str | None = None) -> ConsumerRecord:
    text = traceparent or f"00-{7:032x}-{writer(offset):016x}-01"
    headers = [("ce_id", b"x"), ("traceparent", text.encode())]
    return ConsumerRecord("farshore.events", 0, offset, 0, 0, b"main", b"{}", None, 0, 0, headers)


def transfer(uuid: str, state: TransferState = TransferState.TRANSFERRING, message: str | None = None) -> Transfer:
    return Transfer(uuid, state, None, 42, None, None, None, message)


@dataclass
class World:
    traces: BatchTraces
    exported: InMemorySpanExporter

    def ended(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exported.get_finished_spans() if span.name == name]

    def take(self, cover: int) -> str:
        name = snapshot_name(cover)
        with self.traces.snapshot(name, cover):
            pass
        return name

    def start(self, snapshot: str, uuid: str, there: int = 0) -> None:
        with self.traces.start(SYD, snapshot, there):
            pass
        self.traces.started("syd", uuid)


def linked(span: ReadableSpan) -> list[int]:
    return [link.context.span_id for link in span.links]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    exported = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    monkeypatch.setattr(traces, "_TRACER", provider.get_tracer("test"))
    return World(BatchTraces("main", LOG), exported)


def test_a_snapshot_links_to_what_came_since_the_one_before(world: World) -> None:
    for offset in range(4):
        world.traces.saw(record(offset))
    world.take(2)
    world.take(4)
    first, second = world.ended("take snapshot")
    assert linked(first) == [writer(0), writer(1)]
    assert linked(second) == [writer(2), writer(3)]
    assert first.context is not None
    assert second.context is not None
    assert first.context.trace_id != second.context.trace_id


def test_a_snapshot_that_could_not_be_taken_leaves_its_events_to_the_next(world: World) -> None:
    world.traces.saw(record(0))
    with pytest.raises(FarshoreError), world.traces.snapshot(snapshot_name(1), 1):
        raise FarshoreError("take snapshot", "v", "no space")
    world.take(1)
    failed, taken = world.ended("take snapshot")
    assert failed.status.status_code is StatusCode.ERROR
    assert linked(failed) == linked(taken) == [writer(0)]


def test_a_transfer_belongs_to_its_snapshot_and_links_to_what_was_not_there_yet(world: World) -> None:
    for offset in range(3):
        world.traces.saw(record(offset))
    snapshot = world.take(3)
    world.start(snapshot, "t1", there=1)
    assert not world.ended("transfer")
    told = world.traces.seen(SYD, transfer("t1", TransferState.SUCCESS), snapshot, 1)
    (span,) = world.ended("transfer")
    (taken,) = world.ended("take snapshot")
    assert span.parent is not None
    assert taken.context is not None
    assert span.context is not None
    assert span.parent.span_id == taken.context.span_id
    assert linked(span) == [writer(1), writer(2)]
    assert (span.attributes or {})["farshore.logical_bytes"] == 42
    assert told is not None
    assert f"{span.context.span_id:016x}" in told
    after = trace.get_current_span(world.traces.brought("t1")).get_span_context()
    assert after.span_id == span.context.span_id


def test_what_a_transfer_brought_belongs_to_it_though_the_next_has_begun(world: World) -> None:
    world.start(world.take(1), "t1")
    world.start(world.take(2), "t2")
    (first,) = world.ended("transfer")
    assert first.context is not None
    after = trace.get_current_span(world.traces.brought("t1")).get_span_context()
    assert after.span_id == first.context.span_id


def test_a_transfer_that_another_process_began_is_known_from_when_it_was_seen(world: World) -> None:
    snapshot = snapshot_name(5)
    first = world.traces.seen(SYD, transfer("t1"), snapshot, 0)
    again = world.traces.seen(SYD, transfer("t1", TransferState.SUCCESS), snapshot, 0)
    (span,) = world.ended("transfer")
    assert first == again
    assert span.parent is None


@pytest.mark.parametrize("state", [TransferState.FAILED, TransferState.ABORTED])
def test_a_transfer_that_failed_says_why_without_secrets(world: World, state: TransferState) -> None:
    world.start(world.take(1), "t1")
    world.traces.seen(SYD, transfer("t1", state, "password=hunter2: no route to fra"), "", 0)
    (span,) = world.ended("transfer")
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "password=*** no route to fra"


def test_a_transfer_that_could_not_be_started_has_ended(world: World) -> None:
    snapshot = world.take(1)
    with pytest.raises(FarshoreError), world.traces.start(SYD, snapshot, 0):
        raise FarshoreError("start transfer", "main.syd", "another is under way")
    (span,) = world.ended("transfer")
    assert span.status.status_code is StatusCode.ERROR


def test_whoever_gives_up_a_registry_ends_its_spans(world: World) -> None:
    world.start(world.take(1), "t1")
    world.traces.close()
    (span,) = world.ended("transfer")
    assert span.status.status_code is StatusCode.UNSET


def test_memory_is_bounded(world: World) -> None:
    for offset in range(MOST_EVENTS + 10):
        world.traces.saw(record(offset))
    world.take(10)
    (span,) = world.ended("take snapshot")
    assert linked(span) == []  # these events are no longer remembered
    for number in range(MOST_BATCHES):
        world.start(snapshot_name(10), f"t{number}")
    assert not trace.get_current_span(world.traces.brought("")).get_span_context().is_valid
    world.start(snapshot_name(10), "one more")
    assert not trace.get_current_span(world.traces.brought("t0")).get_span_context().is_valid
    assert trace.get_current_span(world.traces.brought("t1")).get_span_context().is_valid


@pytest.mark.parametrize("traceparent", [" ", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_an_event_without_a_trace_has_no_link(world: World, traceparent: str) -> None:
    world.traces.saw(record(0, traceparent))
    world.take(1)
    (span,) = world.ended("take snapshot")
    assert not span.links


def test_where_nothing_is_exported_there_are_no_spans(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
    world.traces.saw(record(0))
    snapshot = world.take(1)
    world.start(snapshot, "t1")
    assert world.traces.seen(SYD, transfer("t1", TransferState.SUCCESS), snapshot, 0) is None
    world.traces.close()
    assert not world.exported.get_finished_spans()
