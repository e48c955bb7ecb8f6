"""The `/sim/` prefix, which no real cluster has: where volumes are, who writes to them, links, faults, figures."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from farshore_ontap_simulator.data import freeze
from farshore_ontap_simulator.errors import OntapError
from farshore_ontap_simulator.faults import AbortTransfer, Fault, Reboot
from farshore_ontap_simulator.model.records import TransferState, Writers
from farshore_ontap_simulator.rest import render
from farshore_ontap_simulator.rest.api import Services
from farshore_ontap_simulator.settings import parse_address
from farshore_ontap_simulator.transfer.source import Intercluster

_FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)
Json = dict[str, Any]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WritersBody(_Strict):
    """All processes that write to a volume; an empty list for none."""

    svm: str
    volume: str
    pids: list[int] = Field(max_length=256)


class LinkBody(_Strict):
    """Limits towards a peer: one-way latency, and bandwidth (0 for no limit)."""

    latency_ms: float = Field(default=0, ge=0, le=60_000)
    bandwidth_bytes_per_second: float = Field(default=0, ge=0)


class PeerBody(_Strict):
    """A peer's intercluster address, HOST:PORT."""

    address: str


class Rebooter:
    """Carries out a reboot; `stay_away` is told for how many seconds REST has to refuse."""

    def __init__(self, services: Services, intercluster: Intercluster, stay_away: Callable[[float], None]) -> None:
        self._services = services
        self._intercluster = intercluster
        self._stay_away = stay_away

    def reboot(self, seconds: float) -> None:
        """Fail what is under way."""
        self._stay_away(seconds)
        self._services.transfers.running.stop_all(
            "The transfer was interrupted by a reboot.", lambda _: True, TransferState.FAILED
        )
        self._intercluster.drop_sessions()


class Control:
    """The endpoints under /sim/. They need no password: the simulator listens on the loopback."""

    def __init__(self, services: Services, rebooter: Rebooter) -> None:
        self._services = services
        self._rebooter = rebooter

    def application(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/sim/health", self.health, methods=["GET"]),
                Route("/sim/volumes", self.volumes, methods=["GET"]),
                Route("/sim/stats", self.stats, methods=["GET"]),
                Route("/sim/transfers", self.transfers, methods=["GET"]),
                Route("/sim/calls", self.calls, methods=["GET"]),
                Route("/sim/writers", self.get_writers, methods=["GET"]),
                Route("/sim/writers", self.put_writers, methods=["PUT"]),
                Route("/sim/peers", self.peers, methods=["GET"]),
                Route("/sim/peers/{name}", self.put_peer, methods=["PUT"]),
                Route("/sim/links", self.links, methods=["GET"]),
                Route("/sim/links/{name}", self.put_link, methods=["PUT"]),
                Route("/sim/faults", self.get_faults, methods=["GET"]),
                Route("/sim/faults", self.post_fault, methods=["POST"]),
                Route("/sim/faults", self.delete_faults, methods=["DELETE"]),
                Route("/sim/faults/{id}", self.delete_fault, methods=["DELETE"]),
            ],
            exception_handlers={OntapError: self._refused, ValidationError: self._invalid},
        )

    @staticmethod
    async def _refused(_: Request, error: Exception) -> Response:
        if not isinstance(error, OntapError):
            raise error
        return JSONResponse(error.body(), error.status)

    @staticmethod
    async def _invalid(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": {"message": str(error), "code": "262197"}}, 400)

    async def health(self, _: Request) -> Response:
        cluster = self._services.cluster
        return JSONResponse({"name": cluster.settings.name, "intercluster": cluster.intercluster_address})

    async def calls(self, _: Request) -> Response:
        fields = ("user", "method", "path")
        return JSONResponse({"calls": [dict(zip(fields, call, strict=True)) for call in sorted(self._services.calls)]})

    async def volumes(self, _: Request) -> Response:
        cluster = self._services.cluster
        return JSONResponse(
            {
                "volumes": [
                    {
                        "name": volume.name,
                        "svm": volume.svm,
                        "uuid": volume.uuid,
                        "type": volume.type,
                        "path": str(cluster.export_path(volume)),
                        "tree": None if volume.tree is None else str(cluster.data(volume.uuid).tree(volume.tree)),
                    }
                    for volume in cluster.store.volumes.all()
                ]
            }
        )

    async def transfers(self, _: Request) -> Response:
        """Transfers to this cluster by times that are finer than ONTAP's whole seconds."""
        return JSONResponse(
            {
                "transfers": [
                    {
                        "uuid": transfer.uuid,
                        "relationship": transfer.relationship,
                        "started": transfer.started.isoformat(),
                        "ended": None if transfer.ended is None else transfer.ended.isoformat(),
                    }
                    for transfer in self._services.cluster.store.transfers.all()
                ]
            }
        )

    async def stats(self, _: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self._stats))

    def _stats(self) -> Json:
        cluster = self._services.cluster
        with cluster.store.lock:
            relationships = [
                {
                    "uuid": item.uuid,
                    "source": item.source_path,
                    "destination": item.destination_path,
                    "logical_bytes": item.total_bytes,
                    "wire_bytes": item.total_wire_bytes,
                    "transfers": item.transfers,
                    "snapshots": item.snapshots,
                }
                for item in cluster.store.relationships.all()
            ]
            volumes = [
                {
                    "uuid": volume.uuid,
                    "svm": volume.svm,
                    "name": volume.name,
                    "type": volume.type,
                    **render.volume_figures(cluster, volume),
                }
                for volume in cluster.store.volumes.all()
            ]
            taken = cluster.identity.snapshots_taken
        total: Json = {
            name: sum(int(str(item[name])) for item in relationships)
            for name in ("logical_bytes", "wire_bytes", "transfers", "snapshots")
        }
        return {
            "cluster": cluster.settings.name,
            "relationships": relationships,
            "total": total,
            "snapshots_taken": taken,
            "volumes": volumes,
        }

    async def get_writers(self, _: Request) -> Response:
        store = self._services.cluster.store
        return JSONResponse(
            {
                "writers": [
                    {
                        "svm": volume.svm,
                        "volume": volume.name,
                        "pids": [
                            writer.pid
                            for writer in freeze.living(freeze.Writer(*process) for process in record.processes)
                        ],
                    }
                    for record in store.writers.all()
                    if (volume := store.volumes.get(record.volume)) is not None
                ]
            }
        )

    async def put_writers(self, request: Request) -> Response:
        body = WritersBody.model_validate(await self._json(request))
        cluster = self._services.cluster
        volume = cluster.volume_at(f"{body.svm}:{body.volume}")
        if volume is None:
            raise OntapError(4, f'Volume "{body.svm}:{body.volume}" does not exist.', status=404)
        if os.getpid() in body.pids:
            raise OntapError(262197, "The simulator can't stop itself.")
        found = [freeze.find_writer(pid) for pid in body.pids if pid > 1]
        writers = [writer for writer in found if writer is not None]
        with cluster.store.transaction():
            cluster.store.writers.put(
                Writers(volume=volume.uuid, processes=tuple((item.pid, item.start_ticks) for item in writers))
            )
        return JSONResponse({"svm": body.svm, "volume": body.volume, "pids": [writer.pid for writer in writers]})

    async def peers(self, _: Request) -> Response:
        return JSONResponse(
            {
                "peers": [
                    {"name": peer.name, "address": peer.address} for peer in self._services.cluster.store.peers.all()
                ]
            }
        )

    async def put_peer(self, request: Request) -> Response:
        body = PeerBody.model_validate(await self._json(request))
        try:
            address = parse_address(body.address)
        except ValueError as error:
            raise OntapError(262197, str(error)) from error
        peer = self._services.cluster.set_peer(request.path_params["name"], str(address))
        return JSONResponse({"name": peer.name, "address": peer.address})

    async def links(self, _: Request) -> Response:
        return JSONResponse(
            {
                "links": [
                    {
                        "peer": peer.name,
                        "latency_ms": peer.latency_ms,
                        "bandwidth_bytes_per_second": peer.bandwidth_bytes_per_second,
                    }
                    for peer in self._services.cluster.store.peers.all()
                ]
            }
        )

    async def put_link(self, request: Request) -> Response:
        body = LinkBody.model_validate(await self._json(request))
        store = self._services.cluster.store
        name = request.path_params["name"]
        with store.transaction():
            peer = store.peers.first(lambda item: item.name == name)
            if peer is None:
                raise OntapError(4, f'There is no peer "{name}".', status=404)
            store.peers.put(peer.but(**body.model_dump()))
        return JSONResponse({"peer": name, **body.model_dump()})

    async def get_faults(self, _: Request) -> Response:
        armed = self._services.cluster.faults.listing()
        return JSONResponse({"faults": [{"id": name, **fault.model_dump()} for name, fault in armed]})

    async def post_fault(self, request: Request) -> Response:
        fault = _FAULT.validate_python(await self._json(request))
        match fault:
            case AbortTransfer():
                count = await run_in_threadpool(self._abort, fault)
                return JSONResponse({"aborted": count})
            case Reboot():
                await run_in_threadpool(self._rebooter.reboot, fault.seconds)
                return JSONResponse({"rebooted": True})
        return JSONResponse({"id": self._services.cluster.faults.arm(fault)}, 201)

    def _abort(self, fault: AbortTransfer) -> int:
        return self._services.transfers.running.stop_all(
            "Transfer aborted.",
            lambda item: fnmatch.fnmatchcase(item.destination_path, fault.destination),
            TransferState.HARD_ABORTED if fault.hard else TransferState.ABORTED,
        )

    async def delete_faults(self, _: Request) -> Response:
        self._services.cluster.faults.clear()
        return JSONResponse({})

    async def delete_fault(self, request: Request) -> Response:
        if not self._services.cluster.faults.clear(request.path_params["id"]):
            raise OntapError(4, "There is no such fault.", status=404)
        return JSONResponse({})

    @staticmethod
    async def _json(request: Request) -> Any:
        try:
            return await request.json()
        except ValueError as error:
            raise OntapError(262198, "The request body is not valid JSON.") from error
