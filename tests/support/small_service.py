"""A service of a few lines, run as a process to see what `farshore.service` does: `python small_service.py MODE`."""

import asyncio
import sys
from pathlib import Path

from opentelemetry import metrics, trace

from farshore.bus.startup import wait_for_topics
from farshore.errors import ConfigurationError
from farshore.service import Service, serve_http, service_main
from farshore.together import together


async def serve(service: Service) -> None:
    """Ready while a file called `ready` is in the working directory."""
    metrics.get_meter("small").create_counter("farshore_small_starts").add(1)
    await together(serve_http(service), beside=[_follow_file(service)])


async def _follow_file(service: Service) -> None:
    while True:
        service.ready = _is_there("ready")
        await asyncio.sleep(0.01)


def _is_there(name: str) -> bool:
    return Path(name).exists()


async def traced(service: Service) -> None:
    """One span, then nothing but health."""
    trace.get_tracer("small").start_span("a span").end()
    await serve_http(service)


async def need_kafka(service: Service) -> None:
    """Ready when Kafka is."""
    await together(serve_http(service), _wait_for_kafka(service))


async def _wait_for_kafka(service: Service) -> None:
    service.ready = await wait_for_topics(service.bus, service.stopping)


async def misconfigured(service: Service) -> None:
    """A setting turns out to be wrong in a task."""
    await together(serve_http(service), _refuse())


async def _refuse() -> None:
    raise ConfigurationError("read setting", "ONE", "it is wrong")


async def broken(service: Service) -> None:
    """A mistake of the program's in a task."""
    await together(serve_http(service), _divide())


async def _divide() -> None:
    _ = 1 // (len(sys.argv) - 2)


MODES = {run.__name__: run for run in (serve, traced, need_kafka, misconfigured, broken)}

if __name__ == "__main__":
    service_main("farshore-small", MODES[sys.argv[1]])()
