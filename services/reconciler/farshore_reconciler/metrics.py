"""What the reconciler counts, shown at `/metrics`."""

from prometheus_client import Counter, Gauge

missing = Counter(
    "farshore_reconciler_missing_events",
    "Events announced because they were missing, by cause; lost-push and lost-delete are lost notifications",
    ["registry", "cause"],
)
unknown = Counter(
    "farshore_reconciler_unknown", "Looks at a registry that gave no certain answer", ["registry", "site"]
)
stopped = Counter(
    "farshore_reconciler_deletions_stopped", "Runs that found more deletions than they may announce", ["registry"]
)
corrupt = Counter("farshore_reconciler_corrupt", "Images that were hashed again and are damaged", ["registry", "site"])
rehashed = Counter("farshore_reconciler_rehashed_bytes", "Bytes hashed again", ["registry", "site"])
requested = Counter(
    "farshore_reconciler_requested",
    "Runs because of requests in farshore.events; several may lead to one",
    ["registry"],
)
completed = Gauge(
    "farshore_reconciler_last_completed_seconds", "When a run last knew everything, as Unix time", ["registry"]
)
