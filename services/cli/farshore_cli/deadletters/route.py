"""Where a letter goes back to, and whether it may: pure."""

import re
from dataclasses import dataclass

from farshore.records.readiness import ReadinessState
from farshore_cli.deadletters.entry import Entry, FromArrivals, FromReceiver, Letter

ARRIVALS = "farshore.arrivals"

_HEALS = frozenset(
    {
        # The site may have been mended:
        ReadinessState.NOT_FOUND,
        ReadinessState.CORRUPT,
        ReadinessState.TIMED_OUT,
        ReadinessState.UNREACHABLE,
        ReadinessState.REGISTRY_ERROR,
        # The topology may have been corrected:
        "unknown-registry",
        "wrong-registry",
        # A newer receiver may understand it:
        "unknown-format",
        "unknown-action",
        "adapter-failed",
    }
)
_HOPELESS = {
    "malformed": "it is no arrival, and the same bytes won't be one next time",
    "malformed-event": "the event lacks what is needed, and the same bytes will again",
    "not-json": "it is not JSON, and the same bytes won't be next time",
    "not-an-envelope": "it is no notification, and the same bytes won't be one next time",
}
_CUT = frozenset({"too-large"})

_HEADER_VALUE = re.compile(r"[\x20-\x7e]{1,255}")
_ATTRIBUTE = re.compile(r"ce-[a-z0-9]{1,40}")


@dataclass(frozen=True, slots=True)
class ToArrivals:
    """Back into `farshore.arrivals`, as it was."""

    def __str__(self) -> str:
        return ARRIVALS


@dataclass(frozen=True, slots=True)
class ToReceiver:
    """Posted to the receiver again, which parses it; only these of the request's headers go with it."""

    registry: str
    content_type: str
    traceparent: str | None
    attributes: tuple[tuple[str, str], ...] = ()
    """Those of a CloudEvent in binary mode, by their headers `ce-…`."""

    def __str__(self) -> str:
        return f"POST /v1/notifications/{self.registry}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a letter isn't sent back; `can_be_forced` by somebody who knows better."""

    reason: str
    can_be_forced: bool = True

    def __str__(self) -> str:
        return f"{self.reason}; --force sends it anyway" if self.can_be_forced else self.reason


def route(entry: Entry) -> ToArrivals | ToReceiver | Refusal:
    """Where `entry` came from and may go back to; what it says doesn't matter here."""
    if not isinstance(entry, Letter):
        return Refusal(f"not a dead letter: {entry.problem}", can_be_forced=False)
    if entry.record.is_cut or entry.record.code in _CUT:
        return Refusal("only its beginning was kept", can_be_forced=False)
    match entry.source:
        case FromArrivals():
            return ToArrivals()
        case FromReceiver(registry=registry):
            headers = {name.lower(): raw.decode("latin-1") for name, raw in entry.record.original_headers}
            content_type = headers.get("content-type", "")
            if not _HEADER_VALUE.fullmatch(content_type):
                return Refusal("its Content-Type was not kept", can_be_forced=False)
            kept = {name: value for name, value in headers.items() if _HEADER_VALUE.fullmatch(value)}
            attributes = tuple((name, value) for name, value in kept.items() if _ATTRIBUTE.fullmatch(name))
            return ToReceiver(registry, content_type, kept.get("traceparent"), attributes)
        case None:
            return Refusal("nothing is known of where it came from", can_be_forced=False)


def objection(letter: Letter) -> Refusal | None:
    """Why sending `letter` back can't help, by its code."""
    code = letter.record.code
    if code in _HEALS:
        return None
    return Refusal(_HOPELESS.get(code, "this farshore doesn't know its code, so not whether that can help"))
