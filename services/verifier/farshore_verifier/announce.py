"""What is written when an arrival is decided, or late: readiness records and dead letters."""

from datetime import datetime

from aiokafka import ConsumerRecord

from farshore.bus.outgoing import OutgoingRecord
from farshore.bus.topics import DEADLETTER, READINESS
from farshore.records.arrivals import Arrival
from farshore.records.deadletters import DeadLetter
from farshore.records.readiness import EVERYWHERE, Readiness, ReadinessState
from farshore_verifier.everywhere import ALL_SITES_SAY
from farshore_verifier.outcome import Decided, Proven

SERVICE = "farshore-verifier"
LARGEST_RECORD_BYTES = 128 * 1024
"""Of what is read; farshore's own have less than a tenth of that. What follows from a larger one might not fit into
Kafka.
"""
LARGEST_LETTER_BYTES = 256 * 1024
LARGEST_KEY_BYTES = 1024
MOST_SKIPPED = 50
"""How much of what was left out on purpose a record names; an index may have thousands, a record a megabyte."""


def decided_statement(arrival: Arrival, decided: Decided, now: datetime) -> Readiness:
    """How the arrival ended."""
    statement = _statement(arrival, decided.state, decided.reason, now)
    if not isinstance(decided.finding, Proven):
        return statement
    proof = decided.finding
    return statement.model_copy(
        update={
            "level": proof.level,
            "platforms": list(proof.platforms),
            "bytes_verified": proof.bytes_verified,
            "receipt": proof.receipt,
            "reason": _left_out(proof.skipped),
        }
    )


def late_statement(arrival: Arrival, objective_seconds: float, now: datetime) -> Readiness:
    """That the arrival missed its objective; how it ends is said later."""
    return _statement(arrival, ReadinessState.LATE, f"not ready within {objective_seconds:g} s of its push", now)


def superseded_statement(arrival: Arrival, now: datetime) -> Readiness:
    """That a newer event of the same image was read before this one, which was sent back or published again."""
    return _statement(arrival, ReadinessState.SUPERSEDED, "a newer event has the same name", now)


def everywhere_statement(last: Readiness, sites: frozenset[str], now: datetime) -> Readiness:
    """That every site has the image, or serves it no longer; `last` is the record that made the set complete."""
    return last.model_copy(
        update={
            "state": ALL_SITES_SAY[last.state],
            "site": EVERYWHERE,
            "sites": sorted(sites),
            "bytes_verified": 0,
            "snapshot": None,
            "snapshot_version": None,
            "transfer": None,
            "ready_at": now,
        }
    )


def _left_out(skipped: tuple[str, ...]) -> str | None:
    more = len(skipped) - MOST_SKIPPED
    return "; ".join([*skipped[:MOST_SKIPPED], *([f"and {more} more"] if more > 0 else [])]) or None


def _statement(arrival: Arrival, state: ReadinessState, reason: str | None, now: datetime) -> Readiness:
    event, passage = arrival.event, arrival.passage
    return Readiness(
        state=state,
        event_id=event.id,
        registry=event.registry,
        site=passage.site,
        repository=event.repository,
        digest=event.digest,
        tag=event.tag,
        generation=str(arrival.generation),
        snapshot=passage.snapshot,
        snapshot_version=passage.snapshot_version,
        transfer=passage.transfer,
        reason=reason,
        pushed_at=event.occurred_at,
        accepted_at=event.accepted_at,
        arrived_at=passage.arrived_at,
        ready_at=now,
    )


def readiness_record(statement: Readiness, traceparent: str | None) -> OutgoingRecord:
    """The statement as a record of `farshore.readiness`."""
    event = statement.to_cloudevent(traceparent=traceparent)
    return OutgoingRecord(
        READINESS.name, statement.key.encode(), event.data, event.headers(), partition_by=statement.partition_by
    )


def dead_letter_record(record: "ConsumerRecord[bytes, bytes]", code: str, reason: str, now: datetime) -> OutgoingRecord:
    """What was read as a dead letter; one that is too large for that is cut."""
    value, headers = record.value or b"", tuple(record.headers)
    is_cut = record_bytes(record) > LARGEST_LETTER_BYTES
    if is_cut:
        value, headers = value[: LARGEST_LETTER_BYTES // 2], ()
    letter = DeadLetter(
        service=SERVICE,
        source=record_name(record),
        code=code,
        reason=reason,
        at=now,
        value=value,
        original_headers=headers,
        is_cut=is_cut,
    )
    key = (record.key or b"")[:LARGEST_KEY_BYTES]
    return OutgoingRecord(DEADLETTER.name, key, letter.value, letter.headers())


def record_bytes(record: "ConsumerRecord[bytes, bytes]") -> int:
    """How much a record of Kafka's holds."""
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def record_name(record: "ConsumerRecord[bytes, bytes]") -> str:
    """`topic/partition@offset`."""
    return f"{record.topic}/{record.partition}@{record.offset}"
