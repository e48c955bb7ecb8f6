"""Records as ONTAP's JSON. What is absent is left out, not null."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from farshore_ontap_simulator.model.cluster import Cluster
from farshore_ontap_simulator.model.records import (
    ACTIVE,
    EmsDestination,
    EmsEvent,
    Job,
    JobState,
    Peer,
    Policy,
    Relationship,
    Snapshot,
    Svm,
    SvmPeer,
    Transfer,
    Volume,
)
from farshore_ontap_simulator.model.volumes import owners_of

Json = dict[str, Any]


def instant(moment: datetime) -> str:
    """A time with ONTAP's precision of one second."""
    return moment.replace(microsecond=0).isoformat()


def duration(seconds: float) -> str:
    """Seconds as an ISO 8601 duration: PT8H35M42S."""
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    text = f"P{days}D" if days else "P"
    time = f"{hours}H" * bool(hours) + f"{minutes}M" * bool(minutes) + f"{rest}S" * bool(rest or not whole)
    return text + ("T" + time if time else "")


def link(href: str) -> Json:
    return {"self": {"href": href}}


def cluster(model: Cluster) -> Json:
    identity = model.identity
    return {
        "name": identity.name,
        "uuid": identity.uuid,
        "version": {"full": "NetApp Release 9.16.1: simulated", "generation": 9, "major": 16, "minor": 1},
        "_links": link("/api/cluster"),
    }


def job(record: Job) -> Json:
    body: Json = {
        "uuid": record.uuid,
        "description": record.description,
        "state": record.state.value,
        "message": record.message or record.state.value,
        "code": record.code,
        "start_time": instant(record.started),
        "_links": link(f"/api/cluster/jobs/{record.uuid}"),
    }
    if record.ended is not None:
        body["end_time"] = instant(record.ended)
    if record.state is JobState.FAILURE:
        body["error"] = {"code": str(record.code), "message": record.message}
    return body


def peer(model: Cluster, record: Peer) -> Json:
    state = "unavailable" if model.faults.unreachable(record.name) else "available"
    return {
        "uuid": record.uuid,
        "name": record.name,
        "remote": {"name": record.name, "ip_addresses": [record.address.rpartition(":")[0]]},
        "status": {"state": state},
        "authentication": {"state": "ok", "in_use": "ok"},
        "peer_applications": ["snapmirror"],
        "_links": link(f"/api/cluster/peers/{record.uuid}"),
    }


def svm(record: Svm) -> Json:
    return {
        "uuid": record.uuid,
        "name": record.name,
        "state": "running",
        "subtype": "default",
        "aggregates": [{"name": "aggr1"}],
        "_links": link(f"/api/svm/svms/{record.uuid}"),
    }


def svm_peer(model: Cluster, record: SvmPeer) -> Json:
    local = model.store.svms.first(lambda item: item.name == record.svm)
    return {
        "uuid": record.uuid,
        "name": record.peer_svm,
        "svm": {"name": record.svm, "uuid": local.uuid if local is not None else ""},
        "peer": {"svm": {"name": record.peer_svm}, "cluster": {"name": record.peer_cluster}},
        "state": "peered",
        "applications": ["snapmirror"],
        "_links": link(f"/api/svm/peers/{record.uuid}"),
    }


def aggregate(model: Cluster) -> Json:
    used = sum(model.data(volume.uuid).blocks.at_rest().physical_bytes for volume in model.store.volumes.all())
    size = 1 << 44
    uuid = model.identity.uuid
    return {
        "uuid": uuid,
        "name": "aggr1",
        "state": "online",
        "node": {"name": f"{model.settings.name}-01"},
        "space": {"block_storage": {"size": size, "used": used, "available": size - used}},
        "_links": link(f"/api/storage/aggregates/{uuid}"),
    }


def volume_figures(model: Cluster, record: Volume) -> Json:
    """Bytes of a volume: what its files and snapshots sum to, and what is stored of it."""
    snapshots = model.snapshots_of(record.uuid)
    at_rest = model.data(record.uuid).blocks.at_rest()
    active = 0
    if record.tree is not None and snapshots:
        shown = next((item for item in snapshots if item.version_uuid == record.exported), snapshots[-1])
        active = (snapshots[-1] if record.type == "rw" else shown).logical_bytes
    return {
        "active_bytes": active,
        "logical_bytes": active + sum(snapshot.logical_bytes for snapshot in snapshots),
        "unique_bytes": at_rest.unique_bytes,
        "physical_bytes": at_rest.physical_bytes,
        "snapshots": len(snapshots),
    }


def volume(model: Cluster, record: Volume) -> Json:
    owner = model.store.svms.first(lambda item: item.name == record.svm)
    figures = volume_figures(model, record)
    physical, logical, unique = figures["physical_bytes"], figures["logical_bytes"], figures["unique_bytes"]
    mirrored = model.store.relationships.first(lambda item: item.volume == record.uuid) is not None
    sends = model.store.holds.first(lambda item: item.volume == record.uuid) is not None
    body: Json = {
        "uuid": record.uuid,
        "name": record.name,
        "svm": {"name": record.svm, "uuid": owner.uuid if owner is not None else ""},
        "type": record.type,
        "state": record.state,
        "style": "flexvol",
        "size": record.size,
        "comment": record.comment,
        "create_time": instant(record.created),
        "aggregates": [{"name": record.aggregate, "uuid": model.identity.uuid}],
        "snapshot_count": figures["snapshots"],
        "snapmirror": {"is_protected": sends, "destinations": {"is_ontap": sends}},
        "efficiency": {
            "dedupe": record.dedupe,
            "compression": record.compression,
            "compaction": "none",
            "state": "disabled" if record.dedupe == "none" else "enabled",
            "has_savings": physical < logical,
            "ratio": round(logical / physical, 2) if physical else 1.0,
            "space_savings": {
                "compression": unique - physical,
                "dedupe": max(0, logical - unique),
                "total": max(0, logical - physical),
            },
        },
        "space": {
            "size": record.size,
            "used": physical,
            "physical_used": physical,
            "available": max(0, record.size - physical),
            "user_data": figures["active_bytes"],
            "logical_space": {"used": logical, "used_by_snapshots": logical - figures["active_bytes"]},
        },
        "_links": link(f"/api/storage/volumes/{record.uuid}"),
    }
    if record.junction is not None:
        body["nas"] = {"path": record.junction}
    if record.type == "dp" and not mirrored and record.exported is None:
        body["access_enabled"] = False
    return body


def snapshot(model: Cluster, record: Snapshot, owner: Volume) -> Json:
    body: Json = {
        "uuid": record.uuid,
        "name": record.name,
        "version_uuid": record.version_uuid,
        "create_time": instant(record.create_time),
        "state": "valid",
        "logical_size": record.logical_bytes,
        "volume": {"uuid": owner.uuid, "name": owner.name},
        "svm": {"name": owner.svm},
        "_links": link(f"/api/storage/volumes/{owner.uuid}/snapshots/{record.uuid}"),
    }
    if record.comment:
        body["comment"] = record.comment
    if record.label:
        body["snapmirror_label"] = record.label
    owners = owners_of(model, record)
    if owners:
        body["owners"] = owners
    return body


def policy(record: Policy) -> Json:
    body: Json = {
        "uuid": record.uuid,
        "name": record.name,
        "type": record.type,
        "comment": record.comment,
        "scope": record.scope,
        "network_compression_enabled": record.network_compression_enabled,
        "copy_all_source_snapshots": record.copy_all_source_snapshots,
        "copy_latest_source_snapshot": record.copy_latest_source_snapshot,
        "create_snapshot_on_source": record.create_snapshot_on_source,
        "throttle": record.throttle,
        "retention": [{"label": rule.label, "count": str(rule.count)} for rule in record.retention],
        "_links": link(f"/api/snapmirror/policies/{record.uuid}"),
    }
    if record.svm is not None:
        body["svm"] = {"name": record.svm}
    return body


def endpoint(path: str, cluster_name: str | None) -> Json:
    body: Json = {"path": path, "svm": {"name": path.partition(":")[0]}}
    if cluster_name is not None:
        body["cluster"] = {"name": cluster_name}
    return body


def relationship(model: Cluster, record: Relationship, running: str | None) -> Json:
    """`running` is the uuid of the transfer under way."""
    owner = model.store.volumes.get(record.volume)
    rule = model.store.policies.get(record.policy)
    body: Json = {
        "uuid": record.uuid,
        "source": endpoint(record.source_path, record.source_cluster),
        "destination": endpoint(record.destination_path, None),
        "state": record.state.value,
        "healthy": record.healthy,
        "group_type": "none",
        "backoff_level": "none",
        "restore": False,
        "throttle": record.throttle,
        "total_transfer_bytes": record.total_bytes,
        "total_transfer_duration": duration(record.total_seconds),
        "_links": link(f"/api/snapmirror/relationships/{record.uuid}"),
    }
    if rule is not None:
        body["policy"] = {
            "uuid": rule.uuid,
            "name": rule.name,
            "type": rule.type,
            "_links": link(f"/api/snapmirror/policies/{rule.uuid}"),
        }
    if not record.healthy:
        body["unhealthy_reason"] = [
            {"code": str(record.unhealthy_code), "message": record.unhealthy_message, "arguments": []}
        ]
    if record.last_transfer_type is not None:
        body["last_transfer_type"] = record.last_transfer_type
    if record.last_ratio is not None:
        body["last_transfer_network_compression_ratio"] = record.last_ratio
    if owner is not None and owner.exported is not None:
        shown = next((item for item in model.snapshots_of(owner.uuid) if item.version_uuid == owner.exported), None)
        if shown is not None:
            body["exported_snapshot"] = shown.name
            body["lag_time"] = duration((model.now() - shown.create_time).total_seconds())
    last = model.store.transfers.get(running)
    if last is None:
        ended = model.store.transfers.where(lambda item: item.relationship == record.uuid)
        last = ended[-1] if ended else None
    if last is not None:
        body["transfer"] = _transfer_of(model, last, active=running is not None)
    return body


def _transfer_of(model: Cluster, record: Transfer, *, active: bool) -> Json:
    body: Json = {
        "state": record.state.value,
        "type": record.type,
        "bytes_transferred": record.bytes_transferred,
        "total_duration": duration(record.seconds),
        "last_updated_time": instant(record.updated),
    }
    if active:
        body["uuid"] = record.uuid
        body["total_duration"] = duration((model.now() - record.started).total_seconds())
        body["_links"] = link(f"/api/snapmirror/relationships/{record.relationship}/transfers/{record.uuid}")
    if record.ended is not None:
        body["end_time"] = instant(record.ended)
    return body


def transfer(model: Cluster, record: Transfer) -> Json:
    active = record.state in ACTIVE
    body: Json = {
        "uuid": record.uuid,
        "state": record.state.value,
        "bytes_transferred": record.bytes_transferred,
        "checkpoint_size": record.checkpoint_bytes
        if record.state.value == "success"
        else record.checkpoint_bytes + record.bytes_transferred,
        "throttle": record.throttle,
        "total_duration": duration((model.now() - record.started).total_seconds() if active else record.seconds),
        "last_updated_time": instant(record.updated),
        "relationship": {
            "uuid": record.relationship,
            "_links": link(f"/api/snapmirror/relationships/{record.relationship}"),
        },
        "_links": link(f"/api/snapmirror/relationships/{record.relationship}/transfers/{record.uuid}"),
    }
    parent = model.store.relationships.get(record.relationship)
    if parent is not None:
        body["relationship"]["destination"] = endpoint(parent.destination_path, None)
    if record.snapshot is not None:
        body["snapshot"] = record.snapshot
    if active and record.ratio is not None:
        body["network_compression_ratio"] = record.ratio
    if record.ended is not None:
        body["end_time"] = instant(record.ended)
    if record.error_code:
        body["error_info"] = {"code": record.error_code, "message": record.error_message}
    return body


def ems_destination(record: EmsDestination) -> Json:
    return {
        "name": record.name,
        "type": record.type,
        "destination": record.destination,
        "filters": [{"name": name} for name in record.filters],
        "system_defined": False,
        "_links": link(f"/api/support/ems/destinations/{record.name}"),
    }


def ems_event(model: Cluster, record: EmsEvent) -> Json:
    node = f"{model.settings.name}-01"
    return {
        "index": record.index,
        "time": instant(record.time),
        "node": {"name": node},
        "message": {"name": record.name, "severity": record.severity},
        "source": "snapmirror",
        "log_message": record.log_message,
        "parameters": [{"name": name, "value": value} for name, value in record.parameters],
        "_links": link(f"/api/support/ems/events/{node}/{record.index}"),
    }
