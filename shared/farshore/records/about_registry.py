"""Which records of `farshore.events` are no events but speak of a registry as a whole: they become no arrivals."""

from farshore.records.cloudevent import RecordHeaders
from farshore.records.fences import FENCE_TYPES
from farshore.records.moves import MARKED_TYPE
from farshore.records.reconciles import RECONCILE_TYPE

ABOUT_REGISTRY_TYPES = frozenset({RECONCILE_TYPE.encode(), MARKED_TYPE.encode(), *FENCE_TYPES})
"""As they stand in the header `ce_type`."""


def is_about_registry(headers: RecordHeaders) -> bool:
    """Whether a record with these headers is one of them."""
    return dict(headers).get("ce_type") in ABOUT_REGISTRY_TYPES
