"""Start one simulated cluster: wiring only."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import time
import uuid

import uvicorn
import uvloop

from farshore_ontap_simulator.control import Control, Rebooter
from farshore_ontap_simulator.model import volumes
from farshore_ontap_simulator.model.cluster import Cluster
from farshore_ontap_simulator.rest.api import Services
from farshore_ontap_simulator.rest.server import Api, Reboots, TransportProtocol
from farshore_ontap_simulator.settings import Settings, parse
from farshore_ontap_simulator.transfer.relationships import Relationships
from farshore_ontap_simulator.transfer.source import Intercluster
from farshore_ontap_simulator.transfer.transfers import Transfers

_LAST_REQUESTS_SECONDS = 2


def main() -> None:
    """The command `farshore-ontap-simulator`."""
    settings = parse(sys.argv[1:])
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {settings.name} %(levelname)s %(name)s %(message)s")
    uvloop.run(serve(settings))
    # Threads that wait for a peer must not hold the end of the process up: what they do survives a kill anyway.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    cluster = Cluster(settings)
    transfers = Transfers(cluster)
    relationships = Relationships(cluster, transfers)
    services = Services(cluster, transfers, relationships)
    intercluster = Intercluster(cluster, relationships.accept_reversal)
    cluster.intercluster_address = str(intercluster.start(settings.intercluster))
    _first_volume(cluster)
    reboots = Reboots()

    def stay_away(seconds: float) -> None:
        reboots.until = time.monotonic() + seconds

    control = Control(services, Rebooter(services, intercluster, stay_away)).application()
    server = uvicorn.Server(
        uvicorn.Config(
            Api(services, control, reboots),
            http=TransportProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_LAST_REQUESTS_SECONDS,
        )
    )
    listener = socket.create_server((settings.listen.host, settings.listen.port), backlog=1024)
    serving = asyncio.create_task(server.serve([listener]))
    url = f"http://{settings.listen.host}:{listener.getsockname()[1]}"
    ready = {"name": settings.name, "url": url, "intercluster": cluster.intercluster_address, "pid": os.getpid()}
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, setattr, server, "should_exit", True)
    # The listening socket accepts from here on: a client that reads the line can connect at once.
    print(json.dumps(ready), flush=True)
    await serving
    intercluster.close()
    cluster.close()


def _first_volume(cluster: Cluster) -> None:
    settings = cluster.settings
    if settings.svm and settings.volume and cluster.volume_at(f"{settings.svm}:{settings.volume}") is None:
        volumes.create_volume(cluster, volumes.NewVolume(name=settings.volume, svm=settings.svm), str(uuid.uuid4()))


if __name__ == "__main__":
    main()
