"""One process that receives: Kafka, the endpoint and its connections."""

import gc
import logging
from collections.abc import Callable, Mapping

from farshore.bus.startup import wait_for_topics
from farshore.service import Service, serve_http
from farshore.telemetry import event, exporting
from farshore.together import together
from farshore.topology import Registry, Topology
from farshore.topology.watch import TopologyWatch
from farshore_receiver.accept import WRITTEN, Acceptor
from farshore_receiver.app import ReceiverApp
from farshore_receiver.connection import ConnectionLimits, GuardedConnection
from farshore_receiver.open_files import room_for_connections
from farshore_receiver.receive import Notifications
from farshore_receiver.settings import ReceiverSettings
from farshore_receiver.tokens import Tokens

log = logging.getLogger(__name__)


async def receive(service: Service, settings: ReceiverSettings, report: Callable[[bool], None]) -> None:
    """Serve until the service stops, then finish what is under way; `report` hears whether Kafka can be written to."""

    def take_up(topology: Topology) -> None:
        notifications.use(topology.registries, _tokens(topology.registries))

    watch = TopologyWatch(service.settings.topology, take_up)
    registries = watch.topology.registries
    tokens = _tokens(registries)
    acceptor = Acceptor(service.bus, acknowledge_timeout=settings.acknowledge_timeout)
    limits = ConnectionLimits(settings.head_timeout, room_for_connections(settings.max_connections))
    gc.freeze()  # what is there now stays: the collector needn't walk through it again and again
    gc.set_threshold(50_000, 20, 100)  # requests leave no cycles behind, so looking for them is mostly in vain
    notifications = Notifications(registries, tokens, acceptor, settings, tracing=exporting())
    serving = serve_http(
        service,
        ReceiverApp(notifications),
        share_port=settings.workers > 1,
        metrics=None,
        connection=GuardedConnection.limited_by(limits),
    )
    await together(serving, beside=[_write(service, acceptor, report), _follow(watch)])


async def _write(service: Service, acceptor: Acceptor, report: Callable[[bool], None]) -> None:
    """Have a connection to Kafka, once the topics are there: a producer that asks for one that isn't there has a broker
    make it as it makes any topic, where `auto.create.topics.enable` is on (Kafka's default)."""
    if await wait_for_topics(service.bus, service.stopping, WRITTEN):
        await acceptor.keep_connected(report)


def _tokens(registries: Mapping[str, Registry]) -> Tokens:
    return Tokens({name: registry.notifications.tokens for name, registry in registries.items()})


async def _follow(watch: TopologyWatch) -> None:
    """Have the registries of the topology file as it is now, without a pause in receiving."""
    while True:
        topology = await watch.changed()
        event(log, logging.INFO, "topology read again", registries=list(topology.registries))
