"""Calls under /cluster, /svm, /storage/aggregates and /support/ems."""

from __future__ import annotations

import uuid

from pydantic import Field

from farshore_ontap_simulator import errors
from farshore_ontap_simulator.errors import missing_entry, refused
from farshore_ontap_simulator.model.records import EmsDestination, Svm, SvmPeer
from farshore_ontap_simulator.rest import render
from farshore_ontap_simulator.rest.api import Answer, Body, Request, Route, Services, collection, created, instance
from farshore_ontap_simulator.transfer.session import UnreachableError, describe

_NAMED = ("uuid", "name")


def get_cluster(services: Services, request: Request) -> Answer:
    return instance(request, render.cluster(services.cluster), ("name", "uuid"))


def get_jobs(services: Services, request: Request) -> Answer:
    services.cluster.jobs.expire()
    return collection(request, [render.job(job) for job in services.cluster.store.jobs.all()], ("uuid",))


def get_job(services: Services, request: Request) -> Answer:
    services.cluster.jobs.expire()
    job = services.cluster.store.jobs.get(request.names["uuid"])
    if job is None:
        raise missing_entry("uuid")
    return instance(request, render.job(job), ("uuid",))


def get_peers(services: Services, request: Request) -> Answer:
    model = services.cluster
    return collection(request, [render.peer(model, peer) for peer in model.store.peers.all()], _NAMED)


def get_peer(services: Services, request: Request) -> Answer:
    peer = services.cluster.store.peers.get(request.names["uuid"])
    if peer is None:
        raise missing_entry("uuid")
    return instance(request, render.peer(services.cluster, peer), _NAMED)


def get_svms(services: Services, request: Request) -> Answer:
    return collection(request, [render.svm(svm) for svm in services.cluster.store.svms.all()], _NAMED)


def get_svm(services: Services, request: Request) -> Answer:
    svm = services.cluster.store.svms.get(request.names["uuid"])
    if svm is None:
        raise missing_entry("uuid")
    return instance(request, render.svm(svm), _NAMED)


class SvmBody(Body):
    name: str


def post_svm(services: Services, request: Request) -> Answer:
    body = request.parse(SvmBody)
    store = services.cluster.store
    if store.svms.first(lambda svm: svm.name == body.name) is not None:
        raise refused(13434908, f'SVM "{body.name}" already exists.', status=409)
    svm = Svm(uuid=str(uuid.uuid4()), name=body.name)

    def work() -> None:
        with store.transaction():
            store.svms.put(svm)

    job = services.cluster.jobs.submit(f"POST /api/svm/svms/{svm.uuid}", work)
    return Answer(202, location=f"/api/svm/svms/{svm.uuid}", job=job, done_status=201, made=lambda: render.svm(svm))


def discover_svm_peers(services: Services) -> None:
    """Peer every local SVM with every SVM of the reachable peers: the simulator has no dialogue for accepting."""
    store = services.cluster.store
    for peer in store.peers.all():
        try:
            theirs = describe(services.cluster, peer.name).svms
        except (UnreachableError, errors.OntapError):
            continue
        with store.transaction():
            known = {(item.svm, item.peer_svm, item.peer_cluster) for item in store.svm_peers.all()}
            for svm in store.svms.all():
                for name in theirs:
                    if (svm.name, name, peer.name) not in known:
                        store.svm_peers.put(
                            SvmPeer(uuid=str(uuid.uuid4()), svm=svm.name, peer_svm=name, peer_cluster=peer.name)
                        )


def get_svm_peers(services: Services, request: Request) -> Answer:
    discover_svm_peers(services)
    model = services.cluster
    return collection(request, [render.svm_peer(model, peer) for peer in model.store.svm_peers.all()], _NAMED)


def get_svm_peer(services: Services, request: Request) -> Answer:
    peer = services.cluster.store.svm_peers.get(request.names["uuid"])
    if peer is None:
        raise missing_entry("uuid")
    return instance(request, render.svm_peer(services.cluster, peer), _NAMED)


def get_aggregates(services: Services, request: Request) -> Answer:
    return collection(request, [render.aggregate(services.cluster)], _NAMED)


def get_aggregate(services: Services, request: Request) -> Answer:
    aggregate = render.aggregate(services.cluster)
    if request.names["uuid"] != aggregate["uuid"]:
        raise missing_entry("uuid")
    return instance(request, aggregate, _NAMED)


class FilterBody(Body):
    name: str


class EmsDestinationBody(Body):
    name: str
    type: str
    destination: str
    filters: list[FilterBody] = Field(default_factory=list)


class EmsDestinationChange(Body):
    destination: str | None = None
    filters: list[FilterBody] | None = None


_EMS_PATH = "/api/support/ems/destinations"


def get_ems_destinations(services: Services, request: Request) -> Answer:
    records = [render.ems_destination(item) for item in services.cluster.store.ems_destinations.all()]
    return collection(request, records, ("name",), "name")


def _ems_destination(services: Services, name: str) -> EmsDestination:
    destination = services.cluster.store.ems_destinations.get(name)
    if destination is None:
        raise missing_entry("name")
    return destination


def get_ems_destination(services: Services, request: Request) -> Answer:
    record = render.ems_destination(_ems_destination(services, request.names["name"]))
    return instance(request, record, ("name",))


def post_ems_destination(services: Services, request: Request) -> Answer:
    body = request.parse(EmsDestinationBody)
    store = services.cluster.store
    with store.transaction():
        if store.ems_destinations.get(body.name) is not None:
            raise refused(errors.ENTRY_EXISTS, f'Destination "{body.name}" already exists.', status=409)
        record = store.ems_destinations.put(
            EmsDestination(
                name=body.name,
                type=body.type,
                destination=body.destination,
                filters=tuple(item.name for item in body.filters),
            )
        )
    return created(request, render.ems_destination(record), f"{_EMS_PATH}/{record.name}")


def patch_ems_destination(services: Services, request: Request) -> Answer:
    body = request.parse(EmsDestinationChange)
    store = services.cluster.store
    with store.transaction():
        record = _ems_destination(services, request.names["name"])
        if body.destination is not None:
            record = record.but(destination=body.destination)
        if body.filters is not None:
            record = record.but(filters=tuple(item.name for item in body.filters))
        store.ems_destinations.put(record)
    return Answer()


def delete_ems_destination(services: Services, request: Request) -> Answer:
    with services.cluster.store.transaction():
        services.cluster.store.ems_destinations.delete(_ems_destination(services, request.names["name"]).key)
    return Answer()


def get_ems_events(services: Services, request: Request) -> Answer:
    model = services.cluster
    events = [render.ems_event(model, event) for event in reversed(model.store.ems_events.all())]
    return collection(request, events, ("node.name", "index"), "index")


ROUTES = (
    Route("GET", "/api/cluster", get_cluster),
    Route("GET", "/api/cluster/jobs", get_jobs),
    Route("GET", "/api/cluster/jobs/{uuid}", get_job),
    Route("GET", "/api/cluster/peers", get_peers),
    Route("GET", "/api/cluster/peers/{uuid}", get_peer),
    Route("GET", "/api/svm/svms", get_svms),
    Route("POST", "/api/svm/svms", post_svm),
    Route("GET", "/api/svm/svms/{uuid}", get_svm),
    Route("GET", "/api/svm/peers", get_svm_peers, asks_peers=True),
    Route("GET", "/api/svm/peers/{uuid}", get_svm_peer),
    Route("GET", "/api/storage/aggregates", get_aggregates),
    Route("GET", "/api/storage/aggregates/{uuid}", get_aggregate),
    Route("GET", _EMS_PATH, get_ems_destinations),
    Route("POST", _EMS_PATH, post_ems_destination),
    Route("GET", _EMS_PATH + "/{name}", get_ems_destination),
    Route("PATCH", _EMS_PATH + "/{name}", patch_ems_destination),
    Route("DELETE", _EMS_PATH + "/{name}", delete_ems_destination),
    Route("GET", "/api/support/ems/events", get_ems_events),
)
