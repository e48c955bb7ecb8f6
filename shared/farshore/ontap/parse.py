"""ONTAP's JSON records as the types of `farshore.ontap.model`; absent optional fields are left out by ONTAP."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from farshore.ontap.model import (
    Aggregate,
    ClusterInfo,
    EmsDestination,
    Job,
    JobState,
    Peer,
    Policy,
    Relationship,
    RelationshipState,
    Snapshot,
    Transfer,
    TransferState,
    Volume,
)

Record = Mapping[str, Any]
State = TypeVar("State", bound=StrEnum)

_DURATION = re.compile(
    r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?"
)
_UNITS = (365 * 86_400, 30 * 86_400, 7 * 86_400, 86_400, 3_600, 60, 1)
"""Seconds of a year, month, week, day, hour, minute, second; ISO 8601 leaves the first two open."""

_ACTIVE = ("queued", "transferring", None)
"""States of a relationship's transfer in which its uuid is that of a running one; None: ONTAP named no state."""

SNAPSHOT_FIELDS = "name,uuid,version_uuid,create_time,owners"
TRANSFER_FIELDS = "uuid,state,snapshot,bytes_transferred,network_compression_ratio,end_time,error_info"
RELATIONSHIP_FIELDS = (
    "uuid,state,healthy,unhealthy_reason,source.path,source.cluster.name,destination.path,exported_snapshot,"
    "lag_time,"
    "transfer.uuid,transfer.state,policy.name"
)
VOLUME_FIELDS = (
    "uuid,name,svm.name,type,state,nas.path,size,space.used,space.logical_space.used,efficiency.dedupe,"
    "efficiency.compression"
)
POLICY_FIELDS = "uuid,name,network_compression_enabled,copy_all_source_snapshots"
JOB_FIELDS = "uuid,state,message,code,error"


def seconds_of(duration: str) -> float:
    """Seconds of an ISO 8601 duration such as `PT1H2M3S`. Raises ValueError."""
    match = _DURATION.fullmatch(duration)
    if match is None or duration in ("P", "PT"):
        raise ValueError(f"{duration!r} is not an ISO 8601 duration")
    return sum(float(amount) * unit for amount, unit in zip(match.groups(default="0"), _UNITS, strict=True))


def cluster_info(record: Record) -> ClusterInfo:
    version = record.get("version", {})
    return ClusterInfo(record["name"], version.get("full", ""), record["uuid"])


def snapshot(record: Record) -> Snapshot:
    return Snapshot(
        name=record["name"],
        uuid=record["uuid"],
        version_uuid=record["version_uuid"],
        create_time=datetime.fromisoformat(record["create_time"]),
        owners=tuple(record.get("owners", ())),
    )


def transfer(record: Record) -> Transfer:
    error = record.get("error_info", {})
    end = record.get("end_time")
    return Transfer(
        uuid=record["uuid"],
        state=_state(TransferState, record.get("state")),
        snapshot=record.get("snapshot") or None,
        bytes_transferred=record.get("bytes_transferred", 0),
        network_compression_ratio=record.get("network_compression_ratio"),
        end_time=datetime.fromisoformat(end) if end else None,
        error_code=code_of(error.get("code")),
        error_message=error.get("message"),
    )


def relationship(record: Record) -> Relationship:
    lag = record.get("lag_time")
    current = record.get("transfer", {})
    return Relationship(
        uuid=record["uuid"],
        state=_state(RelationshipState, record.get("state")),
        healthy=record.get("healthy", True),
        unhealthy_reasons=tuple(reason.get("message", "") for reason in record.get("unhealthy_reason", ())),
        source_path=record.get("source", {}).get("path", ""),
        destination_path=record.get("destination", {}).get("path", ""),
        exported_snapshot=record.get("exported_snapshot") or None,
        lag_seconds=seconds_of(lag) if lag else None,
        transfer_uuid=current.get("uuid") if current.get("state") in _ACTIVE else None,
        transfer_state=_state(TransferState, current["state"]) if "state" in current else None,
        policy=record.get("policy", {}).get("name"),
        source_cluster=record.get("source", {}).get("cluster", {}).get("name"),
    )


def aggregate(record: Record) -> Aggregate:
    return Aggregate(record["name"], record.get("space", {}).get("block_storage", {}).get("available", 0))


def svm_aggregates(record: Record) -> tuple[str, ...]:
    """Names of the aggregates that are assigned to an SVM."""
    return tuple(one["name"] for one in record.get("aggregates", ()))


def volume(record: Record) -> Volume:
    space = record.get("space", {})
    return Volume(
        uuid=record["uuid"],
        name=record["name"],
        svm=record.get("svm", {}).get("name", ""),
        type=record.get("type", ""),
        state=record.get("state", ""),
        junction_path=record.get("nas", {}).get("path") or None,
        size=record.get("size", 0),
        used=space.get("used", 0),
        logical_used=space.get("logical_space", {}).get("used"),
        dedupe=record.get("efficiency", {}).get("dedupe"),
        compression=record.get("efficiency", {}).get("compression"),
    )


def policy(record: Record) -> Policy:
    return Policy(
        uuid=record["uuid"],
        name=record["name"],
        network_compression=record.get("network_compression_enabled", False),
        copy_all_source_snapshots=record.get("copy_all_source_snapshots", False),
    )


def ems_destination(record: Record) -> EmsDestination:
    filters = tuple(one["name"] for one in record.get("filters", ()))
    return EmsDestination(record["name"], record.get("destination", ""), filters)


def job(record: Record) -> Job:
    error = record.get("error", {})
    return Job(
        uuid=record["uuid"],
        state=_state(JobState, record.get("state")),
        message=error.get("message") or record.get("message"),
        code=code_of(error.get("code", record.get("code"))),
    )


def cluster_peer(record: Record) -> Peer:
    return Peer(
        uuid=record["uuid"],
        name=record.get("name", ""),
        state=record.get("status", {}).get("state", ""),
        applications=_applications(record.get("peer_applications", ())),
    )


def svm_peer(record: Record) -> Peer:
    far = record.get("peer", {})
    return Peer(
        uuid=record["uuid"],
        name=far.get("svm", {}).get("name", ""),
        state=record.get("state", ""),
        applications=_applications(record.get("applications", ())),
        local_svm=record.get("svm", {}).get("name"),
        cluster=far.get("cluster", {}).get("name"),
    )


def code_of(value: object) -> int | None:
    """An error code: ONTAP writes it as a string in replies and as a number in jobs and transfers."""
    text = str(value)
    return int(text) if text.isdecimal() and int(text) != 0 else None


def _state(kind: type[State], word: object) -> State:
    try:
        return kind(str(word))
    except ValueError:
        return kind("unknown")


def _applications(items: Iterable[Any]) -> tuple[str, ...]:
    return tuple(str(item) for item in items)
