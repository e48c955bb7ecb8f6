"""One hop: a relationship from its upstream to its site. What isn't known is None, never a guess. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from farshore.records.cloudevent import format_time
from farshore.records.transfers import TransferRecord
from farshore.topology import Relationship
from farshore_cli.deadletters.printable import printable

_LONGEST_WHY = 300

State = Literal["ok", "behind", "trouble", "unknown"]


@dataclass(frozen=True, slots=True)
class Lag:
    """`events`: offsets that are not announced yet, what any Kafka tool calls the group's lag. `seconds`: the age of
    the oldest of them that is the registry's own; None where it isn't known, 0 where there is none."""

    events: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Said:
    """What a coalescer says of a relationship."""

    activity: str
    failures: int
    why_behind: str | None


@dataclass(slots=True)
class Traffic:
    """What transfers of one relationship came to; `bytes_transferred` is ONTAP's, of those that failed too."""

    transfers: int = 0
    failed: int = 0
    bytes_transferred: int = 0
    last: TransferRecord | None = None
    _seen: set[str] = field(default_factory=set)

    def add(self, record: TransferRecord) -> None:
        """Take in a record; each transfer's end counts once, however often it was reported."""
        if record.phase not in ("finished", "failed") or record.transfer in self._seen:
            return
        self._seen.add(record.transfer)
        self.transfers += 1
        self.failed += record.phase == "failed"
        self.bytes_transferred += record.logical_bytes
        if self.last is None or record.at >= self.last.at:
            self.last = record


@dataclass(frozen=True, slots=True)
class Hop:
    """A relationship and what is known of it; `number` counts from the primary, 1 for the sites right behind it."""

    relationship: Relationship
    number: int
    lag: Lag | None
    traffic: Traffic | None
    said: Said | None

    @property
    def trouble(self) -> str | None:
        """What keeps it from catching up, if something is known to."""
        if self.said is not None:
            stuck = self.said.activity == "stopped" or self.said.failures
            return (self.said.why_behind or self.said.activity) if stuck else None
        last = self.traffic.last if self.traffic is not None else None
        return f"its last transfer failed: {last.reason}" if last is not None and last.phase == "failed" else None

    @property
    def state(self) -> State:
        """In one word."""
        if self.trouble is not None:
            return "trouble"
        if self.lag is None or self.lag.seconds is None:
            return "unknown"
        return "behind" if self.lag.seconds else "ok"

    def as_json(self) -> dict[str, Any]:
        """For programs; docs/cli.md has the keys."""
        lag, traffic, last = self.lag, self.traffic, self.traffic.last if self.traffic is not None else None
        return {
            "relationship": self.relationship.name,
            "registry": self.relationship.registry,
            "site": self.relationship.site,
            "from": self.relationship.source_site,
            "hop": self.number,
            "state": self.state,
            "lag_events": lag.events if lag is not None else None,
            "lag_seconds": round(lag.seconds, 1) if lag is not None and lag.seconds is not None else None,
            "transfers": traffic.transfers if traffic is not None else None,
            "failed_transfers": traffic.failed if traffic is not None else None,
            "bytes_transferred": traffic.bytes_transferred if traffic is not None else None,
            "last_transfer": {"at": format_time(last.at), "phase": last.phase, "bytes_transferred": last.logical_bytes}
            if last is not None
            else None,
            "activity": self.said.activity if self.said is not None else None,
            "why_behind": self.said.why_behind if self.said is not None else None,
            "trouble": self.trouble,
        }

    def row(self, now: datetime) -> tuple[str, ...]:
        """The cells of HEADINGS, for people."""
        lag, traffic = self.lag, self.traffic
        last = traffic.last if traffic is not None else None
        return (
            self.relationship.registry,
            self.relationship.site,
            self.relationship.source_site,
            str(self.number),
            self.state,
            str(lag.events) if lag is not None else "unknown",
            _ago(lag.seconds if lag is not None else None),
            str(traffic.transfers) if traffic is not None else "unknown",
            f"{traffic.bytes_transferred:,}" if traffic is not None else "unknown",
            f"{_ago((now - last.at).total_seconds())} ago" if last is not None else "-" if traffic else "unknown",
            printable(self.trouble or (self.said.why_behind if self.said is not None else None) or "", _LONGEST_WHY),
        )


HEADINGS = (
    "registry",
    "site",
    "from",
    "hop",
    "state",
    "lag: offsets",
    "oldest",
    "transfers",
    "bytes",
    "last",
    "why",
)


def hops_of(
    relationships: Iterable[Relationship],
    lags: Mapping[str, Lag],
    traffic: Mapping[str, Traffic] | None,
    said: Mapping[str, Said],
) -> list[Hop]:
    """A hop for each relationship, by name; `traffic` is None where the log of transfers couldn't be read."""
    relationships = list(relationships)
    sources = {(one.registry, one.site): one.source_site for one in relationships}
    found = []
    for one in relationships:
        name = one.name
        mine = traffic.get(name, Traffic()) if traffic is not None else None
        found.append(Hop(one, _number(one, sources), lags.get(name), mine, said.get(name)))
    return found


def traffic_of(records: Iterable[TransferRecord]) -> dict[str, Traffic]:
    """What the records come to, by relationship."""
    found: dict[str, Traffic] = {}
    for record in records:
        found.setdefault(record.relationship, Traffic()).add(record)
    return found


def said_of(answer: object) -> dict[str, Said]:
    """What a coalescer's `/v1/relationships` says, by relationship. Raises ValueError where it is something else."""
    if not isinstance(answer, list):
        raise ValueError("not a list of relationships")
    found = {}
    for entry in answer:
        match entry:
            case {"relationship": str(name), "activity": str(activity), "failures": int(failures)}:
                why = entry.get("why_behind")
                found[name] = Said(activity, failures, why if isinstance(why, str) else None)
            case _:
                raise ValueError("not a list of relationships")
    return found


def _number(one: Relationship, sources: Mapping[tuple[str, str], str]) -> int:
    number, site = 1, one.source_site
    while (one.registry, site) in sources:
        number, site = number + 1, sources[one.registry, site]
    return number


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def all_known(hops: Sequence[Hop]) -> bool:
    """Whether lag and traffic of every hop are known."""
    return all(hop.state != "unknown" and hop.traffic is not None for hop in hops)
