"""What the edge's agent counts."""

from opentelemetry import metrics

_meter = metrics.get_meter("farshore.edge")

placed = _meter.create_counter(
    "farshore.edge.rules_placed", unit="{placement}", description="Times that new rules were put in place"
)
refused = _meter.create_counter("farshore.edge.rules_refused", unit="{refusal}", description="Rules that nginx refused")
reloads = _meter.create_counter(
    "farshore.edge.reloads", unit="{reload}", description="Times that nginx was told to read its rules"
)
outdated = _meter.create_up_down_counter(
    "farshore.edge.outdated",
    unit="{agent}",
    description="1 while nginx doesn't run the rules that the topology file asks for",
)
holds_unseen = _meter.create_up_down_counter(
    "farshore.edge.holds_unseen",
    unit="{agent}",
    description="1 while nginx's workers may not look into the hold folder",
)
unreachable = _meter.create_up_down_counter(
    "farshore.edge.unreachable",
    unit="{registry}",
    description="1 while nginx doesn't reach a registry, by registry and role",
)
