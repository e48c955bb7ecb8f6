"""From what Kafka holds of an image to where it is at each site. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from farshore.records.arrivals import Passage
from farshore.records.cloudevent import format_time
from farshore.records.events import Event
from farshore.records.readiness import GIVEN_UP, Readiness, ReadinessState
from farshore.records.transfers import TransferRecord
from farshore.topology.model import VerificationLevel
from farshore_cli.images.wanted import Wanted


class Stage(StrEnum):
    """How far it has come at a site."""

    UNANNOUNCED = "unannounced"
    """The log has no event of it."""
    WAITING = "waiting"
    """For a snapshot, a transfer or the proof of one."""
    ARRIVED = "arrived"
    """The site has it; the verifier has still to say so."""
    READY = "ready"
    FAILED = "failed"
    """The verifier gave it up."""
    GONE = "gone"
    """Deleted, or lost with a primary that was given up."""
    SUPERSEDED = "superseded"
    """The tag is another image's by now."""

    @property
    def is_final(self) -> bool:
        """Whether it won't get ready by itself any more."""
        return self in (Stage.FAILED, Stage.GONE, Stage.SUPERSEDED)


@dataclass(frozen=True, slots=True)
class Announced:
    """The event that brings the image, with its offset; `overtaken` where a later one gave the tag to another."""

    event: Event
    offset: int
    overtaken: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """A readiness record; `offset` is its event's, -1 where that was in another topic."""

    record: Readiness
    offset: int


@dataclass(slots=True)
class Known:
    """All that is known of one image."""

    wanted: Wanted
    announced: Announced | None = None
    told: dict[str, Told] = field(default_factory=dict)
    """By site: the last that was said there of what is wanted."""
    arrived: dict[str, Passage] = field(default_factory=dict)
    """By site: how the announced event came there."""
    positions: Mapping[str, int] = field(default_factory=dict)
    """By site: up to where arrivals are published."""
    transfers: dict[str, TransferRecord] = field(default_factory=dict)
    """By transfer: its end."""

    def hear_event(self, event: Event, offset: int) -> None:
        """Take in an event of the repository, in the log's order."""
        wanted = self.wanted
        if not wanted.is_named(event.tag, event.digest):
            return
        if wanted.digest is None or event.digest == wanted.digest:
            self.announced = Announced(event, offset)
            self.arrived.clear()
        elif self.announced is not None:
            self.announced = Announced(self.announced.event, self.announced.offset, overtaken=True)

    def hear_readiness(self, record: Readiness, offset: int) -> None:
        """Take in what was said at a site, in its order."""
        wanted = self.wanted
        of_the_tag = record.state in (ReadinessState.REVOKED, ReadinessState.SUPERSEDED) and record.tag is not None
        if wanted.tag is None and of_the_tag:
            return  # the content may be there under another name
        if wanted.is_named(record.tag, record.digest) and (
            wanted.digest in (None, record.digest) or record.state is ReadinessState.REVOKED
        ):
            self.told[record.site] = Told(record, offset)


@dataclass(frozen=True, slots=True)
class AtSite:
    """Where an image is at one site, and how it came there as far as that is known."""

    stage: Stage
    why: str = ""
    """Why it isn't ready; '' where it is."""
    told: Readiness | None = None
    passage: Passage | None = None
    transfer: TransferRecord | None = None

    def as_json(self) -> dict[str, Any]:
        """For programs; docs/cli.md has the keys."""
        told, passage, transfer = self.told, self.passage, self.transfer
        return {
            "stage": str(self.stage),
            "why": self.why or None,
            "digest": told.digest if told else None,
            "level": told.level if told else None,
            "snapshot": (passage.snapshot if passage else None) or (told.snapshot if told else None),
            "transfer": (passage.transfer if passage else None) or (told.transfer if told else None),
            "transferred_at": _time(transfer.at if transfer else None),
            "arrived_at": _time((passage.arrived_at if passage else None) or (told.arrived_at if told else None)),
            "decided_at": _time(told.ready_at if told else None),
        }


def judge(known: Known, site: str) -> AtSite:
    """Where the image is at `site`."""
    told, announced = known.told.get(site), known.announced
    passage = known.arrived.get(site)
    record = told.record if told is not None else None
    transfer = known.transfers.get((passage.transfer if passage else None) or (record.transfer if record else "") or "")
    if told is not None and (announced is None or told.offset >= announced.offset):
        stage, why = _as_told(told.record, known.wanted, passage)
        return AtSite(stage, why, told.record, passage, transfer)
    if announced is None:
        return AtSite(Stage.UNANNOUNCED, "no event names it: was it pushed, or its notification lost?")
    if announced.overtaken:
        return AtSite(Stage.SUPERSEDED, "its tag was given to another image before this one was verified")
    if passage is not None or known.positions.get(site, 0) > announced.offset:
        return AtSite(Stage.ARRIVED, "the verifier hasn't decided it yet", None, passage, transfer)
    position = known.positions.get(site)
    behind = f": {announced.offset + 1 - position} offsets behind" if position is not None else ""
    return AtSite(Stage.WAITING, f"it waits for a transfer{behind}")


def _as_told(record: Readiness, wanted: Wanted, passage: Passage | None) -> tuple[Stage, str]:
    reason = f": {record.reason}" if record.reason else ""
    match record.state:
        case ReadinessState.READY:
            return Stage.READY, ""
        case ReadinessState.REVOKED:
            return Stage.GONE, f"it was deleted{reason}"
        case ReadinessState.LOST:
            return Stage.GONE, f"it was lost{reason}"
        case ReadinessState.SUPERSEDED if wanted.digest is not None:
            return Stage.SUPERSEDED, f"its tag was given to another image{reason}"
        case ReadinessState.SUPERSEDED:
            return Stage.WAITING, "a newer push of it is on its way"
        case state if state in GIVEN_UP:
            return Stage.FAILED, f"{state}{reason}"
    return Stage.ARRIVED if passage else Stage.WAITING, f"later than its objective{reason}"


LEVELS = tuple(VerificationLevel)
"""From the least that is proved to the most."""


def reaches(record: Readiness | None, level: VerificationLevel | None) -> bool:
    """Whether what was proved is as much as `level`."""
    if level is None:
        return True
    proved = record.level if record is not None else None
    return proved in LEVELS and LEVELS.index(VerificationLevel(proved)) >= LEVELS.index(level)


def _time(when: datetime | None) -> str | None:
    return format_time(when) if when is not None else None
