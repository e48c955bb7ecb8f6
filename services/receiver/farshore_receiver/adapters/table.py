"""Which adapter reads what. A new format is one file beside this one and its lines here.

Harbor's webhooks (`application/json`, or `application/cloudevents+json`) are kept as dead letters: Harbor has its tags
in its database and not on the registry's volume, so no replica of that volume could serve them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from farshore_receiver.adapters import distribution, zot
from farshore_receiver.adapters.parsed import Parsed

Headers = Mapping[bytes, bytes]
"""Request headers by their names in lower case."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """Two pure functions: `parse` a body, and `single_out` the events at some indexes, each as a body of its own."""

    name: str
    parse: Callable[[Headers, bytes], Parsed]
    single_out: Callable[[bytes, Sequence[int]], list[bytes]]


DISTRIBUTION = Adapter("distribution", distribution.parse, distribution.single_out)

ZOT = Adapter("zot", zot.parse, zot.single_out)

ADAPTERS: Mapping[str, Adapter] = {
    distribution.CONTENT_TYPE_2_8: DISTRIBUTION,
    distribution.CONTENT_TYPE_3: DISTRIBUTION,
}


class Unsupported(StrEnum):
    """Why there is no adapter."""

    UNKNOWN_FORMAT = "unknown-format"
    """JSON of some kind: it may be a notification of a registry that farshore doesn't know yet, so it is kept."""
    NOT_A_NOTIFICATION = "not-a-notification"
    """No registry sends this."""


@lru_cache(maxsize=64)
def choose_adapter(content_type: str, event_type: str = "") -> Adapter | Unsupported:
    """The adapter for the value of a Content-Type header; parameters such as a charset don't count.

    `event_type` is a CloudEvent's type in binary mode, the header `ce-type`.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    adapter = ADAPTERS.get(media_type)
    if adapter is not None:
        return adapter
    if media_type == zot.CONTENT_TYPE and event_type.startswith(zot.TYPES):
        return ZOT
    if media_type == "application/json" or media_type.endswith("+json"):
        return Unsupported.UNKNOWN_FORMAT
    return Unsupported.NOT_A_NOTIFICATION
