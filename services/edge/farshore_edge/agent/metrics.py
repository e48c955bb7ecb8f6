"""What the edge's agent counts."""

from opentelemetry import metrics

_meter = metrics.get_meter("farshore.edge")

placed = _meter.create_counter("farshore_edge_rules_placed", description="Times that new rules were put in place")
refused = _meter.create_counter("farshore_edge_rules_refused", description="Rules that nginx refused")
reloads = _meter.create_counter("farshore_edge_reloads", description="Times that nginx was told to read its rules")
outdated = _meter.create_up_down_counter(
    "farshore_edge_outdated", description="1 while nginx doesn't run the rules that the topology file asks for"
)
holds_unseen = _meter.create_up_down_counter(
    "farshore_edge_holds_unseen", description="1 while nginx's workers may not look into the hold folder"
)
unreachable = _meter.create_up_down_counter(
    "farshore_edge_unreachable", description="1 while nginx doesn't reach a registry, by registry and role"
)
