"""One record of every kind, as farshore's services write them."""

from datetime import UTC, datetime

from farshore.oci import Digest, Repository, Tag
from farshore.records.arrivals import Arrival, ArrivalHeaders, Generation, Passage
from farshore.records.cloudevent import Headers
from farshore.records.events import Event, EventKind
from farshore.records.readiness import Readiness, ReadinessState
from farshore.records.transfers import TransferRecord

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BATCH_TRACE = "00-f0f7651916cd43dd8448eb211c803190-a7ad6b7169203330-01"
DIGEST = Digest.of(b"a manifest")
PUSHED = datetime(2026, 11, 24, 21, 2, 37, 250_000, UTC)
ACCEPTED = datetime(2026, 11, 24, 21, 2, 37, 262_000, UTC)
ARRIVED = datetime(2026, 11, 24, 21, 2, 41, 5_000, UTC)

EVENTS = [
    Event(
        id=f"main/5f0c/{number}",
        kind=kind,
        registry="main",
        repository=Repository("team/app"),
        digest=None if kind is EventKind.TAG_DELETED else DIGEST,
        tag=Tag("v1"),
        media_type="application/vnd.oci.image.manifest.v1+json",
        size=523,
        occurred_at=PUSHED,
        accepted_at=ACCEPTED,
        registry_instance="8bd1",
    )
    for number, kind in enumerate(EventKind)
]

TRANSFER = TransferRecord(
    relationship="main.fra",
    registry="main",
    site="fra",
    phase="finished",
    transfer="0a1b2c3d-0000-11ef-8000-000000000001",
    snapshot="farshore-1f3a9c04-0-713-9-5e1f0c4a",
    cover=713,
    logical_bytes=4_194_304,
    network_compression_ratio="1.9:1",
    at=ARRIVED,
)

ARRIVAL = Arrival(
    event=EVENTS[0],
    generation=Generation("1f3a9c04", 0, 712),
    passage=Passage("fra", "farshore-1f3a9c04-0-713-9-5e1f0c4a", "9d1c", "0a1b2c3d", ARRIVED, BATCH_TRACE),
    traceparent=TRACEPARENT,
)

READINESS = Readiness(
    state=ReadinessState.READY,
    event_id=EVENTS[0].id,
    registry="main",
    site="fra",
    repository=Repository("team/app"),
    digest=DIGEST,
    tag=Tag("v1"),
    generation=str(ARRIVAL.generation),
    level="content",
    platforms=["linux/amd64"],
    bytes_verified=4_194_304,
    snapshot=ARRIVAL.passage.snapshot,
    snapshot_version=ARRIVAL.passage.snapshot_version,
    transfer=ARRIVAL.passage.transfer,
    receipt="0" * 64,
    pushed_at=PUSHED,
    accepted_at=ACCEPTED,
    arrived_at=ARRIVED,
    ready_at=datetime(2026, 11, 24, 21, 2, 42, tzinfo=UTC),
)


def arrival_record() -> tuple[Headers, bytes]:
    """ARRIVAL as the coalescer writes it: headers made in bulk, the event's bytes as they were."""
    generation = ARRIVAL.generation
    envelope = ARRIVAL.event.to_cloudevent(traceparent=TRACEPARENT)
    maker = ArrivalHeaders(ARRIVAL.passage, generation.incarnation, generation.partition)
    headers = maker.of(
        envelope.id.encode(),
        envelope.source.encode(),
        envelope.subject.encode(),
        generation.offset,
        TRACEPARENT.encode(),
    )
    return headers, envelope.data
