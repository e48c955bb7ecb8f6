"""What the verifier counts."""

from opentelemetry import metrics

_meter = metrics.get_meter("farshore.verifier")

decided = _meter.create_counter(
    "farshore.verifier.decided", unit="{arrival}", description="Arrivals decided, by site, registry and state"
)
failed_looks = _meter.create_counter(
    "farshore.verifier.failed_looks",
    unit="{look}",
    description="Looks at a site that proved nothing, by site, registry and state",
)
corrupt = _meter.create_counter(
    "farshore.verifier.corrupt",
    unit="{arrival}",
    description="Damaged content found, by site and registry: an alarm",
)
unexpected_failures = _meter.create_counter(
    "farshore.verifier.unexpected_failures",
    unit="{failure}",
    description="Failures that nobody foresaw while an arrival was being decided, by site: a defect",
)
full_lanes = _meter.create_up_down_counter(
    "farshore.verifier.full_lanes",
    unit="{lane}",
    description="Lanes that stopped reading because too much is undecided, by group",
)
ready_seconds = _meter.create_histogram(
    "farshore.verifier.ready.duration",
    unit="s",
    description="From arrival at the site to readiness, by site and registry",
    explicit_bucket_boundaries_advisory=[0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900],
)
hashed_bytes = _meter.create_counter(
    "farshore.verifier.hashed", unit="By", description="Bytes read and hashed, by site and registry"
)
waiting = _meter.create_up_down_counter(
    "farshore.verifier.waiting", unit="{arrival}", description="Arrivals read and undecided, by site"
)
late = _meter.create_counter(
    "farshore.verifier.late", unit="{arrival}", description="Missed objectives, by site and registry"
)
everywhere = _meter.create_counter(
    "farshore.verifier.everywhere", unit="{image}", description="Images ready everywhere, by registry"
)
everywhere_forgotten = _meter.create_counter(
    "farshore.verifier.everywhere_forgotten",
    unit="{image}",
    description="Images that wait for a site and are no longer remembered",
)
everywhere_refused = _meter.create_counter(
    "farshore.verifier.everywhere_refused",
    unit="{record}",
    description="Readiness records that somebody else wrote, and wrote wrongly",
)
everywhere_look_ups = _meter.create_counter(
    "farshore.verifier.everywhere_look_ups",
    unit="{reading}",
    description="Readings of the topic for images that were forgotten",
)
snapshot_requests = _meter.create_counter(
    "farshore.verifier.snapshot_requests",
    unit="{request}",
    description="Volumes marked dirty because a site's tag lagged, by site",
)
lost = _meter.create_counter(
    "farshore.verifier.lost",
    unit="{loss}",
    description="Times that Kafka deleted arrivals before a site had decided them, by site",
)
lane_restarts = _meter.create_counter(
    "farshore.verifier.lane_restarts", unit="{restart}", description="Lanes opened again after a failure, by group"
)
