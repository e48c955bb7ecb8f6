"""What a whole stack tells of itself: one trace from a push to its readiness records, and metrics."""

import importlib
import pkgutil
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import opentelemetry.semconv._incubating.attributes as semantic_conventions
import pytest
import pytest_asyncio
from documents import DOCS, code_spans, fences, rows, section
from exposed_metrics import wrong_with
from local_stack import LocalStack
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from otlp_collector import OtlpCollector, Span, id_of
from traced_stack import SERVICES, SITES, TracedStack
from waiting import wait_until

from farshore.bus.topics import READINESS, TRANSFERS
from farshore.records.cloudevent import CloudEvent
from farshore.records.readiness import EVERYWHERE
from farshore_cli.tools.find import Tools

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

TOKEN = "token-of-the-collector"
PAGE = (DOCS / "tracing.md").read_text()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def traced(tmp_path_factory: pytest.TempPathFactory, tools: Tools) -> AsyncIterator[TracedStack]:
    folder = tmp_path_factory.mktemp("trace")
    with OtlpCollector() as collector:
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {TOKEN}",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
            "FARSHORE_RECONCILER_EVERY": "3600",
        }
        with LocalStack(folder / "state", environ=environ) as stack:
            traced = TracedStack(stack, collector, tools, folder)
            await traced.push_as_one_batch()
            yield traced


def told(spans: list[Span]) -> list[tuple[str, str, object]]:
    return [(span.name, span.kind, span.service) for span in spans]


PUSHED = [
    ("POST /v1/notifications/{registry}", "SERVER", "farshore-receiver"),
    ("send farshore.events", "PRODUCER", "farshore-receiver"),
]
VERIFIED = [
    ("process farshore.arrivals", "CONSUMER", "farshore-verifier"),
    ("send farshore.readiness", "PRODUCER", "farshore-verifier"),
]
BATCH = [
    ("take snapshot", "INTERNAL", "farshore-coalescer"),
    ("transfer", "INTERNAL", "farshore-coalescer"),
    ("send farshore.arrivals", "PRODUCER", "farshore-coalescer"),
]


def test_a_readiness_record_carries_on_the_trace_of_its_push(traced: TracedStack) -> None:
    for image in traced.images:
        for site in SITES:
            path = traced.path_of(image, site)
            assert told(path) == PUSHED + VERIFIED
            assert path[2].attributes["farshore.site"] == site
            assert path[2].attributes["farshore.image"] == image.reference
            assert path[3].attributes["farshore.state"] == "ready"
            assert traced.below(path[2], "look at site")


def test_both_sites_are_in_one_trace_and_two_pushes_in_two(traced: TracedStack) -> None:
    sending = {image.reference: {traced.path_of(image, site)[1].id for site in SITES} for image in traced.images}
    (one,), (two,) = sending.values()
    assert one[0] != two[0]


def test_ready_everywhere_follows_from_the_last_sites_record(traced: TracedStack) -> None:
    for image in traced.images:
        path = traced.path_of(image, EVERYWHERE)
        assert told(path) == [*PUSHED, *VERIFIED, VERIFIED[-1]]
        assert path[4].attributes["farshore.state"] == "ready-everywhere"
        assert path[3].id in {traced.readiness[image.reference, site] for site in SITES}


def test_a_batch_is_a_trace_of_its_own_from_its_snapshot_on(traced: TracedStack) -> None:
    for site in SITES:
        (batch,) = {tuple(span.id for span in traced.batch_of(image, site)) for image in traced.images}
        snapshot, transfer, sending = (traced.span(which) for which in batch)
        assert told([snapshot, transfer, sending]) == BATCH
        assert transfer.attributes["farshore.site"] == site
        assert sending.attributes["messaging.batch.message_count"] == len(traced.images)
        assert snapshot.attributes["farshore.snapshot"] == transfer.attributes["farshore.snapshot"]


def test_sites_have_transfers_of_one_snapshot(traced: TracedStack) -> None:
    snapshots = {traced.batch_of(image, site)[0].id for image in traced.images for site in SITES}
    assert len(snapshots) == 1


def test_snapshot_transfer_and_arrivals_link_to_the_spans_that_wrote_the_events(traced: TracedStack) -> None:
    written = {traced.path_of(image, site)[1].id for image in traced.images for site in SITES}
    for site in SITES:
        for span in traced.batch_of(traced.images[0], site):
            assert written <= set(span.links), span.name


def test_calls_to_clusters_belong_to_what_they_were_made_for(traced: TracedStack) -> None:
    snapshot, transfer, _ = traced.batch_of(traced.images[0], "fra")
    (take,) = traced.below(snapshot, "ontap create snapshot")
    (start,) = traced.below(transfer, "ontap start transfer")
    assert [take.kind, start.kind] == ["CLIENT", "CLIENT"]
    assert [take.attributes["farshore.site"], start.attributes["farshore.site"]] == ["nyc", "fra"]
    calls = [span for span in traced.collector.spans.values() if span.name.startswith("ontap ")]
    assert all(call.parent is not None for call in calls)


async def test_records_of_transfers_name_the_transfers_span(traced: TracedStack) -> None:
    transfers = {traced.batch_of(traced.images[0], site)[1].attributes["farshore.transfer"]: site for site in SITES}
    found = set()
    for record in await traced.read_all(TRANSFERS):
        envelope = CloudEvent.from_record(record.headers, record.value, "transfers")
        uuid, _, phase = envelope.id.partition("/")
        if uuid in transfers:
            assert envelope.traceparent is not None
            assert traced.span(id_of(envelope.traceparent)).attributes["farshore.transfer"] == uuid
            found.add((transfers[uuid], phase))
    assert {(site, phase) for site in SITES for phase in ("started", "finished")} <= found


def test_times_follow_one_another(traced: TracedStack) -> None:
    """All processes here have one clock."""
    for image in traced.images:
        for site in SITES:
            post, send, process, ready = traced.path_of(image, site)
            snapshot, transfer, arrivals = traced.batch_of(image, site)
            begun = [span.start for span in (post, send, snapshot, transfer, arrivals, process, ready)]
            assert begun == sorted(begun)
            assert transfer.end <= arrivals.start
            assert all(span.start <= span.end for span in (post, send, snapshot, transfer, arrivals, process, ready))


def test_each_service_says_who_it_is(traced: TracedStack) -> None:
    spans = [span for span in traced.collector.spans.values() if span.service in SERVICES]
    assert {span.service for span in spans} == SERVICES
    for span in spans:
        assert span.resource["service.namespace"] == "farshore"
        assert span.resource["deployment.environment.name"] == "test"
        assert {"service.version", "service.instance.id"} <= span.resource.keys()
        assert span.scope.startswith("farshore.")


NEEDED = {
    "SERVER": {"http.request.method", "http.route", "http.response.status_code", "url.path", "url.scheme"},
    "PRODUCER": {
        "messaging.system",
        "messaging.operation.name",
        "messaging.operation.type",
        "messaging.destination.name",
    },
    "CONSUMER": {
        "messaging.system",
        "messaging.operation.name",
        "messaging.operation.type",
        "messaging.destination.name",
        "messaging.destination.partition.id",
        "messaging.consumer.group.name",
        "messaging.kafka.offset",
    },
    "CLIENT": {"server.address", "server.port"},
    "INTERNAL": set(),
}


def known_attributes() -> set[str]:
    """Every attribute of OpenTelemetry's semantic conventions."""
    found = set()
    for info in pkgutil.iter_modules(semantic_conventions.__path__):
        module = importlib.import_module(f"{semantic_conventions.__name__}.{info.name}")
        found |= {value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}
    return found


def test_attributes_are_those_of_the_semantic_conventions_or_farshores_own(traced: TracedStack) -> None:
    known = known_attributes()
    for span in traced.collector.spans.values():
        if span.service not in SERVICES:
            continue
        assert NEEDED[span.kind] <= span.attributes.keys(), span
        for name in span.attributes.keys() | span.resource.keys():
            assert name in known or name.startswith("farshore."), (span.name, name)


def test_every_span_is_documented_with_its_kind_parent_and_links(traced: TracedStack) -> None:
    _, *table = rows(section(PAGE, "## What one push looks like"))
    documented = {code_spans(first)[0]: cells for first, *cells in table}
    spans = [span for span in traced.collector.spans.values() if span.service in SERVICES]
    for span in spans:
        kind, makers, parents, links = documented["ontap CALL" if span.name.startswith("ontap ") else span.name]
        assert span.kind.lower() == kind
        assert str(span.service).removeprefix("farshore-") in makers.split(", ")
        if span.parent is not None:
            assert traced.span(span.parent).name in code_spans(parents)
        assert {traced.span(link).name for link in span.links} <= set(code_spans(links))


def test_farshores_own_attributes_are_documented(traced: TracedStack) -> None:
    documented = {name for first, *_ in rows(section(PAGE, "## What spans carry")) for name in code_spans(first)}
    spans = [span for span in traced.collector.spans.values() if span.service in SERVICES]
    assert {name for span in spans for name in span.attributes if name.startswith("farshore.")} == documented


async def test_a_consumer_of_readiness_joins_the_trace_as_the_page_says(traced: TracedStack) -> None:
    ((_, example),) = [block for block in fences(PAGE) if block[0] == "python"]
    joining: dict[str, Any] = {}
    exec(example, joining)  # noqa: S102 - the page's own example
    provider = TracerProvider(resource=Resource({"service.name": "deployer"}), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(f"{traced.collector.endpoint}/v1/traces", headers={"authorization": f"Bearer {TOKEN}"})
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    joining["tracer"] = provider.get_tracer("deployer")
    for record in await traced.read_all(READINESS):
        joining["handle"](record)
    provider.shutdown()
    joined = [span for span in traced.collector.spans.values() if span.service == "deployer"]
    assert {span.parent for span in joined} >= set(traced.readiness.values())


def test_what_the_collector_got_holds_no_secret(traced: TracedStack) -> None:
    secrets = [file.read_bytes().strip() for file in (traced.stack.state_dir / "secrets").iterdir()]
    assert secrets
    received = b"".join(traced.collector.bodies)
    assert not [secret for secret in (*secrets, TOKEN.encode()) if secret in received]
    assert all(headers["authorization"] == f"Bearer {TOKEN}" for headers in traced.collector.headers)
    assert not any(span.events for span in traced.collector.spans.values()), "an exception's text may hold anything"


SCRAPED = {"receiver": "management", "coalescer": "url", "verifier": "url", "reconciler": "url"}
"""Where each service shows its metrics, by its key in endpoints.json."""


async def scraped(traced: TracedStack, service: str) -> str:
    """Its metrics, when it serves them: `farshore up` doesn't wait for the reconciler."""
    url = traced.stack.endpoints[service][SCRAPED[service]]

    async def served() -> str:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
                assert answer.content_type == "text/plain"
                return await answer.text()
        except aiohttp.ClientConnectionError:
            return ""

    try:
        return await wait_until(served, 60, f"the metrics of the {service}")
    except AssertionError as error:
        error.add_note(traced.stack.log_of(service))
        raise


@pytest.mark.parametrize("service", SCRAPED)
async def test_promtool_finds_nothing_wrong_with_the_metrics(traced: TracedStack, service: str) -> None:
    assert not wrong_with(await scraped(traced, service))


@pytest.mark.parametrize("service", SCRAPED)
async def test_metrics_hold_no_secret(traced: TracedStack, service: str) -> None:
    text = await scraped(traced, service)
    secrets = [file.read_text().strip() for file in (traced.stack.state_dir / "secrets").iterdir()]
    assert not [secret for secret in (*secrets, TOKEN) if secret in text]


async def test_the_path_of_an_image_is_counted(traced: TracedStack) -> None:
    counted = "".join([await scraped(traced, service) for service in SCRAPED])
    for metric in (
        'farshore_receiver_events_total{kind="manifest.pushed",registry="main"}',
        "farshore_snapshots_total",
        "farshore_transfers_total",
        "farshore_published_total",
        "farshore_verifier_decided_total",
        "farshore_verifier_ready_duration_seconds_count",
        "farshore_verifier_everywhere_total",
    ):
        assert re.search(rf"^{re.escape(metric)}.* [1-9]", counted, re.MULTILINE), metric
