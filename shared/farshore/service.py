"""Runs a service: settings from the environment, a clean end on SIGTERM, health and metrics over HTTP, exit codes.

A service's `__main__.py` is `main = service_main("farshore-coalescer", run)`, where `run(service)` does the work;
one that has no business with Kafka uses `plain_main`.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import uvicorn
import uvloop
from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from farshore.bus.access import PLAIN, Access
from farshore.bus.access_settings import AccessSettings
from farshore.bus.clients import Bus
from farshore.bus.topics import possible_replication
from farshore.errors import ConfigurationError
from farshore.settings import Collected, settings_from_environment
from farshore.telemetry import event
from farshore.telemetry.collector_files import check_collector_files
from farshore.telemetry.metrics import metrics_app
from farshore.telemetry.start import start_telemetry, stop_telemetry
from farshore.topology import Topology, load_topology
from farshore.topology.fields import ListenAddress

EX_CONFIG = 78
EX_SOFTWARE = 70

log = logging.getLogger(__name__)


class PlainSettings(BaseSettings):
    """Settings of a service without Kafka, from the environment as `FARSHORE_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="FARSHORE_", frozen=True)

    topology: Path = Field(examples=["/etc/farshore/topology.yaml"])
    """The topology file."""
    listen: ListenAddress = "127.0.0.1:0"
    """`host:port` of the service's HTTP endpoints."""
    log_level: str = Field(default="info", pattern=r"^(debug|info|warning|error)$")


class Settings(PlainSettings):
    """Settings of every other service."""

    kafka_bootstrap_servers: str = Field(pattern=r"^[^,\s]+:\d+(,[^,\s]+:\d+)*$", examples=["kafka.example:9092"])
    """`host:port[,host:port…]`."""
    kafka_session_timeout: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    """Seconds until a dead instance's share goes to another."""
    kafka_replication: Annotated[int, AfterValidator(possible_replication)] = -1
    """How many brokers keep each topic that the service creates; -1 leaves it to Kafka."""


AnySettings = TypeVar("AnySettings", bound=PlainSettings)


@dataclass(slots=True)
class PlainService(Generic[AnySettings]):
    """What a service's work is given: settings, topology, and the wish to stop."""

    name: str
    settings: AnySettings
    topology: Topology
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    ready: bool = False
    """Set by the work once it can do its job; shown at `/readyz`."""


@dataclass(slots=True)
class Service(PlainService[Settings]):
    """The same with Kafka."""

    access: Access = PLAIN
    """TLS and login there."""

    @property
    def bus(self) -> Bus:
        """How to reach Kafka."""
        settings = self.settings
        return Bus(
            settings.kafka_bootstrap_servers,
            self.name,
            settings.kafka_session_timeout,
            settings.kafka_replication,
            self.access,
        )


def service_main(
    name: str,
    run: Callable[[Service], Awaitable[None]],
    *,
    own_settings: Callable[[], object] | None = None,
    needs: Callable[[Topology], object] | None = None,
) -> Callable[[], None]:
    """The entry point of a service: `run` ends by itself soon after `service.stopping` is set.

    `own_settings` reads the service's own settings, `needs` looks at what it needs of the topology, such as secrets:
    both raise ConfigurationError. They are asked first, so that all that is wrong is told at once, in one line.
    """

    def make() -> Service:
        collected = Collected()
        access = collected.get(lambda: Access(settings_from_environment(AccessSettings)))
        settings, topology = _configured(collected, Settings, own_settings, needs)
        return Service(name, settings, topology, access=access or PLAIN)

    return _main(name, make, run)


def plain_main(
    name: str,
    run: Callable[[PlainService[PlainSettings]], Awaitable[None]],
    *,
    own_settings: Callable[[], object] | None = None,
) -> Callable[[], None]:
    """The same for a service without Kafka."""

    def make() -> PlainService[PlainSettings]:
        settings, topology = _configured(Collected(), PlainSettings, own_settings, None)
        return PlainService(name, settings, topology)

    return _main(name, make, run)


AnyService = TypeVar("AnyService", bound=PlainService[Any])


def _main(
    name: str, make: Callable[[], AnyService], run: Callable[[AnyService], Awaitable[None]]
) -> Callable[[], None]:
    def main() -> None:
        try:
            service = make()
        except ConfigurationError as error:
            print(f"{name}: {error}", file=sys.stderr)
            raise SystemExit(EX_CONFIG) from None
        start_telemetry(name, log_level=service.settings.log_level)
        try:
            status = uvloop.run(_supervise(service, run))
        finally:
            stop_telemetry()
        raise SystemExit(status)

    return main


def _configured(
    collected: Collected,
    kind: type[AnySettings],
    own_settings: Callable[[], object] | None,
    needs: Callable[[Topology], object] | None,
) -> tuple[AnySettings, Topology]:
    """Settings and topology; raises ConfigurationError for all that is wrong, also what was collected before."""
    settings = collected.get(lambda: settings_from_environment(kind))
    collected.get(check_collector_files)
    if own_settings:
        collected.get(own_settings)
    path = os.environ.get("FARSHORE_TOPOLOGY")  # known also where another setting is wrong
    topology = collected.get(lambda: load_topology(Path(path))) if path else None
    if topology and needs:
        collected.get(lambda: needs(topology))
    collected.raise_if_any()
    if settings is None or topology is None:
        raise RuntimeError("nothing was wrong, and yet something is missing")
    return settings, topology


async def _supervise(service: AnyService, run: Callable[[AnyService], Awaitable[None]]) -> int:
    loop = asyncio.get_running_loop()
    # SIGQUIT is the stop signal of the image that nginx and its agent share
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        loop.add_signal_handler(number, service.stopping.set)
    event(log, logging.INFO, "starting", pid=os.getpid())
    try:
        await run(service)
    except ConfigurationError as error:
        print(f"{service.name}: {error}", file=sys.stderr)
        return EX_CONFIG
    except Exception:
        log.exception("ended by an unexpected failure")
        return EX_SOFTWARE
    event(log, logging.INFO, "stopped")
    return 0


class _QuietServer(uvicorn.Server):
    """uvicorn without its own signal handlers: the service decides when it stops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


Endpoint = Callable[[Request], Awaitable[Response]]


async def serve_http(
    service: PlainService[Any],
    app: Starlette | None = None,
    *,
    listen: ListenAddress | None = None,
    share_port: bool = False,
    metrics: Endpoint | None = metrics_app,
    connection: type[asyncio.Protocol] | None = None,
) -> None:
    """Serve `app` with `/livez`, `/readyz` and `/metrics` until the service stops.

    `listen` is another address than the service's own; `share_port` lets several processes listen on it, among whom the
    kernel shares out connections (SO_REUSEPORT). `metrics` is another endpoint, or None for none; `connection` replaces
    uvicorn's protocol. Call as a task beside the service's work. Answers under way are finished within 5 s of stopping.
    Raises ConfigurationError when the address can't be had.
    """
    app = app or Starlette()
    app.router.routes.extend(health_routes(service, metrics))
    if listen is None:
        listener = open_listener(service.settings.listen, share_port=share_port)
    else:
        listener = open_listener(listen, share_port=share_port, hint="set another address")
    config = uvicorn.Config(
        app,
        http=connection or "auto",
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    server = _QuietServer(config)
    stopper = asyncio.create_task(_stop_with(service, server))
    try:
        await server.serve(sockets=[listener])
    finally:
        stopper.cancel()
        listener.close()


def open_listener(
    address: ListenAddress, *, share_port: bool = False, hint: str = "set FARSHORE_LISTEN"
) -> socket.socket:
    """The socket to serve on; uvicorn, left to open its own, ends the process without a reason when it can't."""
    host, port = host_and_port(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048, reuse_port=share_port)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError("listen on", address, reason, hint=hint) from error
    event(log, logging.INFO, "listening", at=address_of(listener))
    return listener


def address_of(listener: socket.socket) -> ListenAddress:
    """`host:port` that a socket is bound to."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if listener.family == socket.AF_INET6 else f"{host}:{port}"


def host_and_port(address: ListenAddress) -> tuple[str, int]:
    """The parts of `host:port`; without a host it is this machine only."""
    host, _, port = address.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(port)


async def _stop_with(service: PlainService[Any], server: uvicorn.Server) -> None:
    await service.stopping.wait()
    server.should_exit = True


def health_routes(service: PlainService[Any], metrics: Endpoint | None = metrics_app) -> list[Route]:
    """`/livez` (the process answers), `/readyz` (it can do its job), and `/metrics` unless there are none."""

    async def livez(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        ready = service.ready and not service.stopping.is_set()
        return PlainTextResponse("ready\n" if ready else "not ready\n", status_code=200 if ready else 503)

    routes = [Route("/livez", livez), Route("/readyz", readyz)]
    return [*routes, Route("/metrics", metrics)] if metrics is not None else routes
