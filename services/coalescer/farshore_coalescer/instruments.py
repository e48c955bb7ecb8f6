"""What the coalescer counts."""

from opentelemetry import metrics

METER = metrics.get_meter("farshore.coalescer")

SNAPSHOTS = METER.create_counter("farshore.snapshots", unit="{snapshot}", description="Source snapshots taken")
TRANSFERS = METER.create_counter("farshore.transfers", unit="{transfer}", description="Transfers started")
FAILURES = METER.create_counter("farshore.failures", unit="{failure}", description="Failed actions by class")
ARRIVALS = METER.create_counter(
    "farshore.published", unit="{event}", description="Offsets of farshore.events published as arrivals"
)
FELL_OFF = METER.create_counter(
    "farshore.fell_off", unit="{loss}", description="Positions that were older than what Kafka has, per relationship"
)
