"""Calls under /snapmirror."""

from __future__ import annotations

import uuid
from typing import Literal

from pydantic import Field

from farshore_ontap_simulator import errors
from farshore_ontap_simulator.errors import OntapError, missing_entry, refused
from farshore_ontap_simulator.model.records import Policy, RelationshipState, Retention, Transfer
from farshore_ontap_simulator.rest import render
from farshore_ontap_simulator.rest.api import (
    Answer,
    Body,
    Json,
    Request,
    Route,
    Services,
    collection,
    created,
    instance,
)
from farshore_ontap_simulator.rest.storage_calls import Named
from farshore_ontap_simulator.transfer.relationships import NewRelationship

_POLICIES = "/api/snapmirror/policies"
_PATH = "/api/snapmirror/relationships"


class RetentionBody(Body):
    label: str
    count: int = 1


class PolicyBody(Body):
    name: str
    type: Literal["async"] = "async"
    comment: str = ""
    svm: Named = Named()
    network_compression_enabled: bool = False
    copy_all_source_snapshots: bool = False
    copy_latest_source_snapshot: bool = False
    create_snapshot_on_source: bool = True
    retention: list[RetentionBody] = Field(default_factory=list)
    throttle: int = 0


class PolicyChange(Body):
    comment: str | None = None
    network_compression_enabled: bool | None = None
    retention: list[RetentionBody] | None = None
    throttle: int | None = None


def get_policies(services: Services, request: Request) -> Answer:
    return collection(
        request, [render.policy(item) for item in services.cluster.store.policies.all()], ("uuid", "name")
    )


def _policy(services: Services, request: Request) -> Policy:
    policy = services.cluster.store.policies.get(request.names["uuid"])
    if policy is None:
        raise missing_entry("uuid")
    return policy


def get_policy(services: Services, request: Request) -> Answer:
    return instance(request, render.policy(_policy(services, request)), ("uuid", "name"))


def post_policy(services: Services, request: Request) -> Answer:
    body = request.parse(PolicyBody)
    store = services.cluster.store
    if body.copy_all_source_snapshots and body.copy_latest_source_snapshot:
        raise refused(13303968, "copy_all_source_snapshots and copy_latest_source_snapshot can't both be true.")
    with store.transaction():
        if store.policies.first(lambda item: item.name == body.name) is not None:
            raise refused(6619637, f'SnapMirror policy "{body.name}" already exists.', status=409)
        policy = store.policies.put(
            Policy(
                uuid=str(uuid.uuid4()),
                name=body.name,
                comment=body.comment,
                scope="svm" if body.svm.name else "cluster",
                svm=body.svm.name,
                network_compression_enabled=body.network_compression_enabled,
                copy_all_source_snapshots=body.copy_all_source_snapshots,
                copy_latest_source_snapshot=body.copy_latest_source_snapshot,
                create_snapshot_on_source=body.create_snapshot_on_source,
                retention=tuple(Retention(label=rule.label, count=rule.count) for rule in body.retention),
                throttle=body.throttle,
            )
        )
    return created(request, render.policy(policy), f"{_POLICIES}/{policy.uuid}")


def patch_policy(services: Services, request: Request) -> Answer:
    body = request.parse(PolicyChange)
    store = services.cluster.store
    with store.transaction():
        policy = _policy(services, request)
        changes = body.model_dump(exclude_none=True, exclude={"retention"})
        if body.retention is not None:
            changes["retention"] = tuple(Retention(label=rule.label, count=rule.count) for rule in body.retention)
        store.policies.put(policy.but(**changes))
    return Answer()


def delete_policy(services: Services, request: Request) -> Answer:
    store = services.cluster.store
    with store.transaction():
        policy = _policy(services, request)
        if policy.built_in or store.relationships.first(lambda item: item.policy == policy.uuid) is not None:
            raise refused(13303867, f'SnapMirror policy "{policy.name}" is in use.', status=409)
        store.policies.delete(policy.uuid)
    return Answer()


class Cluster(Body):
    name: str | None = None


class Endpoint(Body):
    path: str
    cluster: Cluster = Cluster()


class CreateDestination(Body):
    enabled: bool = False


class RelationshipBody(Body):
    source: Endpoint
    destination: Endpoint
    policy: Named = Named()
    create_destination: CreateDestination = CreateDestination()
    state: str | None = None
    throttle: int = 0


class RelationshipChange(Body):
    state: str | None = None
    policy: Named = Named()
    source: Endpoint | None = None
    destination: Endpoint | None = None
    throttle: int | None = None
    restore_to_snapshot: str | None = None


def _render(services: Services, relationship_uuid: str) -> Json:
    running = services.transfers.running.get(relationship_uuid)
    return render.relationship(
        services.cluster,
        services.cluster.relationship(relationship_uuid),
        running.transfer if running is not None else None,
    )


def get_relationships(services: Services, request: Request) -> Answer:
    store = services.cluster.store
    if request.flag("list_destinations_only"):
        held = {hold.relationship: hold for hold in store.holds.all()}
        records = []
        for hold in held.values():
            volume = store.volumes.get(hold.volume)
            records.append(
                {
                    "uuid": hold.relationship,
                    "source": render.endpoint(volume.path if volume is not None else "", None),
                    "destination": render.endpoint(hold.destination, hold.cluster),
                    "_links": render.link(f"{_PATH}/{hold.relationship}"),
                }
            )
    else:
        records = [_render(services, item.uuid) for item in store.relationships.all()]
    return collection(request, records, ("uuid", "source.path", "destination.path"))


def get_relationship(services: Services, request: Request) -> Answer:
    return instance(request, _render(services, request.names["uuid"]), ("uuid",))


def post_relationship(services: Services, request: Request) -> Answer:
    body = request.parse(RelationshipBody)
    if body.state not in (None, "snapmirrored"):
        raise refused(13303817, f'"{body.state}" is not a state that a new relationship can have.')
    new = NewRelationship(
        source_path=body.source.path,
        destination_path=body.destination.path,
        source_cluster=body.source.cluster.name,
        policy=body.policy.name or body.policy.uuid,
        create_destination=body.create_destination.enabled,
        initialize=body.state == "snapmirrored",
        throttle=body.throttle,
    )
    source_cluster = services.relationships.check_new(new)
    relationship_uuid = str(uuid.uuid4())
    location = f"{_PATH}/{relationship_uuid}"
    job = services.cluster.jobs.submit(
        f"POST {location}", lambda: services.relationships.create(new, source_cluster, relationship_uuid)
    )
    return Answer(202, location=location, job=job, done_status=201, made=lambda: _render(services, relationship_uuid))


def patch_relationship(services: Services, request: Request) -> Answer:
    body = request.parse(RelationshipChange)
    relationships = services.relationships
    relationship = services.cluster.relationship(request.names["uuid"])
    name = relationship.uuid
    source = body.source.path if body.source is not None else relationship.source_path
    destination = body.destination.path if body.destination is not None else relationship.destination_path
    if (source, destination) != (relationship.source_path, relationship.destination_path):
        relationships.check_reversal(name, source, destination)
        job = services.cluster.jobs.submit(f"PATCH {request.path}", lambda: relationships.reverse(name))
        return Answer(202, job=job)
    state = body.state
    if state is not None:
        relationships.check_state_change(name, state)

    def work() -> None:
        relationships.modify(name, body.policy.name or body.policy.uuid, body.throttle)
        match state:
            case "snapmirrored":
                relationships.to_snapmirrored(name)
            case "paused":
                relationships.pause(name)
            case "broken_off":
                relationships.break_off(name, body.restore_to_snapshot)

    return Answer(202, job=services.cluster.jobs.submit(f"PATCH {request.path}", work))


def delete_relationship(services: Services, request: Request) -> Answer:
    name = request.names["uuid"]
    if services.cluster.store.relationships.get(name) is None:
        if not (request.flag("source_only") or request.flag("source_info_only")):
            raise missing_entry("uuid")
        if not services.relationships.release(name):
            raise missing_entry("uuid")
        return Answer(202, job=services.cluster.jobs.submit(f"DELETE {request.path}", lambda: None))
    destination_only = request.flag("destination_only")
    job = services.cluster.jobs.submit(
        f"DELETE {request.path}",
        lambda: services.relationships.delete(name, destination_only=destination_only),
    )
    return Answer(202, job=job)


class TransferBody(Body):
    source_snapshot: str | None = None
    throttle: int = Field(default=0, ge=0)


class TransferChange(Body):
    state: Literal["aborted", "hard_aborted"]


def get_transfers(services: Services, request: Request) -> Answer:
    model = services.cluster
    name = model.relationship(request.names["relationship"]).uuid
    records = [
        render.transfer(model, item) for item in model.store.transfers.where(lambda item: item.relationship == name)
    ]
    return collection(request, records, ("uuid", "relationship.uuid"))


def _transfer(services: Services, request: Request) -> Transfer:
    transfer = services.cluster.store.transfers.get(request.names["uuid"])
    if transfer is None or transfer.relationship != request.names["relationship"]:
        raise missing_entry("uuid")
    return transfer


def get_transfer(services: Services, request: Request) -> Answer:
    record = render.transfer(services.cluster, _transfer(services, request))
    return instance(request, record, ("uuid", "relationship.uuid"))


_REFUSING = {
    RelationshipState.PAUSED: "The relationship is quiesced.",
    RelationshipState.BROKEN_OFF: "The relationship is broken off.",
}


def post_transfer(services: Services, request: Request) -> Answer:
    body = request.parse(TransferBody)
    relationship = services.cluster.relationship(request.names["relationship"])
    kind = "initialize" if relationship.state is RelationshipState.UNINITIALIZED else "update"
    reason = _REFUSING.get(relationship.state)
    if reason is not None:
        raise OntapError(
            errors.UPDATE_FAILED,
            f'SnapMirror update on relationship "{relationship.destination_path}" failed. ({reason})',
        )
    transfer = services.transfers.start(
        relationship.uuid, kind, source_snapshot=body.source_snapshot, throttle=body.throttle
    )
    location = f"{_PATH}/{relationship.uuid}/transfers/{transfer.uuid}"
    return created(request, render.transfer(services.cluster, transfer), location)


def patch_transfer(services: Services, request: Request) -> Answer:
    body = request.parse(TransferChange)
    transfer = _transfer(services, request)
    services.transfers.running.abort(transfer.relationship, transfer.uuid, hard=body.state == "hard_aborted")
    return Answer()


_DELETE_FLAGS = frozenset({"destination_only", "source_only", "source_info_only", "force"})
_PATCH_FLAGS = frozenset({"force", "failback", "failover", "force_failover"})

ROUTES = (
    Route("GET", _POLICIES, get_policies),
    Route("POST", _POLICIES, post_policy),
    Route("GET", _POLICIES + "/{uuid}", get_policy),
    Route("PATCH", _POLICIES + "/{uuid}", patch_policy),
    Route("DELETE", _POLICIES + "/{uuid}", delete_policy),
    Route("GET", _PATH, get_relationships, frozenset({"list_destinations_only"})),
    Route("POST", _PATH, post_relationship),
    Route("GET", _PATH + "/{uuid}", get_relationship, frozenset({"list_destinations_only"})),
    Route("PATCH", _PATH + "/{uuid}", patch_relationship, _PATCH_FLAGS),
    Route("DELETE", _PATH + "/{uuid}", delete_relationship, _DELETE_FLAGS),
    Route("GET", _PATH + "/{relationship}/transfers", get_transfers),
    Route("POST", _PATH + "/{relationship}/transfers", post_transfer),
    Route("GET", _PATH + "/{relationship}/transfers/{uuid}", get_transfer),
    Route("PATCH", _PATH + "/{relationship}/transfers/{uuid}", patch_transfer),
)
