"""Calls under /storage/volumes."""

from __future__ import annotations

import uuid
from typing import Literal

from pydantic import Field

from farshore_ontap_simulator import errors
from farshore_ontap_simulator.errors import missing_entry, missing_value, refused
from farshore_ontap_simulator.model import volumes
from farshore_ontap_simulator.model.records import Snapshot, TransferState
from farshore_ontap_simulator.model.volumes import NewVolume
from farshore_ontap_simulator.rest import render
from farshore_ontap_simulator.rest.api import Answer, Body, Request, Route, Services, collection, instance

_VOLUME_KEYS = ("uuid", "name")
_SNAPSHOT_KEYS = ("uuid", "name", "volume.uuid")
_PATH = "/api/storage/volumes"


class Named(Body):
    name: str | None = None
    uuid: str | None = None


class Nas(Body):
    path: str | None = None


class Efficiency(Body):
    dedupe: Literal["background", "inline", "both", "none", "mixed"] | None = None
    compression: Literal["background", "inline", "both", "none", "mixed"] | None = None


class VolumeBody(Body):
    name: str
    svm: Named
    type: Literal["rw", "dp"] = "rw"
    size: int = 1 << 40
    aggregates: list[Named] = Field(default_factory=list)
    nas: Nas = Nas()
    comment: str = ""
    efficiency: Efficiency = Efficiency()


class VolumeChange(Body):
    state: Literal["online", "offline"] | None = None
    size: int | None = None
    nas: Nas = Nas()
    comment: str | None = None
    efficiency: Efficiency = Efficiency()


def get_volumes(services: Services, request: Request) -> Answer:
    model = services.cluster
    return collection(request, [render.volume(model, item) for item in model.store.volumes.all()], _VOLUME_KEYS)


def get_volume(services: Services, request: Request) -> Answer:
    model = services.cluster
    return instance(request, render.volume(model, model.volume(request.names["uuid"])), _VOLUME_KEYS)


def post_volume(services: Services, request: Request) -> Answer:
    body = request.parse(VolumeBody)
    model = services.cluster
    svm = model.store.svms.first(lambda item: item.name == body.svm.name or item.uuid == body.svm.uuid)
    if svm is None:
        if body.svm.name is None:
            raise missing_value("svm.name")
        raise refused(errors.SVM_UNKNOWN, f'SVM "{body.svm.name}" does not exist.')
    if len(body.aggregates) > 1:
        raise refused(918242, "Exactly one aggregate is needed for a FlexVol volume.")
    new = NewVolume(
        name=body.name,
        svm=svm.name,
        type=body.type,
        size=body.size,
        junction=body.nas.path,
        comment=body.comment,
        aggregate=(body.aggregates[0].name or "aggr1") if body.aggregates else "aggr1",
        dedupe=body.efficiency.dedupe or "inline",
        compression=body.efficiency.compression or "inline",
    )
    if new.junction is not None and not new.junction.startswith("/"):
        raise refused(918252, f'The junction path "{new.junction}" is not valid.')
    volumes.check_new_volume(model, new)
    volume_uuid = str(uuid.uuid4())
    job = model.jobs.submit(f"POST {_PATH}/{volume_uuid}", lambda: volumes.create_volume(model, new, volume_uuid))
    return Answer(
        202,
        location=f"{_PATH}/{volume_uuid}",
        job=job,
        done_status=201,
        made=lambda: render.volume(model, model.volume(volume_uuid)),
    )


def patch_volume(services: Services, request: Request) -> Answer:
    body = request.parse(VolumeChange)
    model = services.cluster
    volume = model.volume(request.names["uuid"])
    changes: dict[str, object] = {}
    if body.size is not None:
        if body.size < volumes.MINIMUM_BYTES:
            raise refused(917534, f"The volume size {body.size} is too small: the minimum is 20MB.")
        changes["size"] = body.size
    if body.state is not None:
        changes["state"] = body.state
    if body.comment is not None:
        changes["comment"] = body.comment
    if body.nas.path is not None:
        if body.nas.path and not body.nas.path.startswith("/"):
            raise refused(918252, f'The junction path "{body.nas.path}" is not valid.')
        changes["junction"] = body.nas.path or None
    if body.efficiency.dedupe is not None:
        changes["dedupe"] = body.efficiency.dedupe
    if body.efficiency.compression is not None:
        changes["compression"] = body.efficiency.compression

    def work() -> None:
        with model.store.transaction():
            changed = model.store.volumes.put(model.volume(volume.uuid).but(**changes))
            model.show(changed)
        if changed.state != "online":
            services.transfers.running.stop_all(
                errors.offline(0, volume.path).message, lambda item: item.volume == volume.uuid, TransferState.FAILED
            )

    return Answer(202, job=model.jobs.submit(f"PATCH {_PATH}/{volume.uuid}", work))


def delete_volume(services: Services, request: Request) -> Answer:
    model = services.cluster
    volume = model.volume(request.names["uuid"])
    job = model.jobs.submit(f"DELETE {_PATH}/{volume.uuid}", lambda: volumes.delete_volume(model, volume.uuid))
    return Answer(202, job=job)


class SnapshotBody(Body):
    name: str
    comment: str = ""
    snapmirror_label: str = ""


class SnapshotChange(Body):
    name: str | None = None
    comment: str | None = None
    snapmirror_label: str | None = None


def get_snapshots(services: Services, request: Request) -> Answer:
    model = services.cluster
    volume = model.volume(request.names["volume"])
    records = [render.snapshot(model, item, volume) for item in model.snapshots_of(volume.uuid)]
    return collection(request, records, _SNAPSHOT_KEYS)


def _snapshot(services: Services, request: Request) -> Snapshot:
    snapshot = services.cluster.store.snapshots.get(request.names["uuid"])
    if snapshot is None or snapshot.volume != request.names["volume"]:
        raise missing_entry("uuid")
    return snapshot


def get_snapshot(services: Services, request: Request) -> Answer:
    model = services.cluster
    volume = model.volume(request.names["volume"])
    return instance(request, render.snapshot(model, _snapshot(services, request), volume), _SNAPSHOT_KEYS)


def post_snapshot(services: Services, request: Request) -> Answer:
    body = request.parse(SnapshotBody)
    model = services.cluster
    volume = model.volume(request.names["volume"])
    volumes.check_new_snapshot(model, volume, body.name)
    snapshot_uuid = str(uuid.uuid4())
    location = f"{_PATH}/{volume.uuid}/snapshots/{snapshot_uuid}"

    def work() -> None:
        volumes.take_snapshot(
            model,
            volume.uuid,
            body.name,
            snapshot_uuid=snapshot_uuid,
            comment=body.comment,
            label=body.snapmirror_label,
        )

    def made() -> dict[str, object]:
        snapshot = model.store.snapshots.get(snapshot_uuid)
        return {} if snapshot is None else render.snapshot(model, snapshot, volume)

    return Answer(202, location=location, job=model.jobs.submit(f"POST {location}", work), done_status=201, made=made)


def patch_snapshot(services: Services, request: Request) -> Answer:
    body = request.parse(SnapshotChange)
    model = services.cluster
    snapshot = _snapshot(services, request)
    changes: dict[str, object] = {}
    if body.name is not None and body.name != snapshot.name:
        volumes.check_new_snapshot(model, model.volume(snapshot.volume), body.name)
        changes["name"] = body.name
    if body.comment is not None:
        changes["comment"] = body.comment
    if body.snapmirror_label is not None:
        changes["label"] = body.snapmirror_label

    def work() -> None:
        with model.store.transaction():
            model.store.snapshots.put(_snapshot(services, request).but(**changes))

    return Answer(202, job=model.jobs.submit(f"PATCH {request.path}", work))


def delete_snapshot(services: Services, request: Request) -> Answer:
    model = services.cluster
    volume = model.volume(request.names["volume"])
    snapshot = _snapshot(services, request)
    if volumes.owners_of(model, snapshot):
        raise volumes.snapshot_busy(snapshot)
    job = model.jobs.submit(
        f"DELETE {request.path}", lambda: volumes.delete_snapshot(model, volume.uuid, snapshot.uuid)
    )
    return Answer(202, job=job)


ROUTES = (
    Route("GET", _PATH, get_volumes),
    Route("POST", _PATH, post_volume),
    Route("GET", _PATH + "/{uuid}", get_volume),
    Route("PATCH", _PATH + "/{uuid}", patch_volume),
    Route("DELETE", _PATH + "/{uuid}", delete_volume, frozenset({"force"})),
    Route("GET", _PATH + "/{volume}/snapshots", get_snapshots),
    Route("POST", _PATH + "/{volume}/snapshots", post_snapshot),
    Route("GET", _PATH + "/{volume}/snapshots/{uuid}", get_snapshot),
    Route("PATCH", _PATH + "/{volume}/snapshots/{uuid}", patch_snapshot),
    Route("DELETE", _PATH + "/{volume}/snapshots/{uuid}", delete_snapshot),
)
