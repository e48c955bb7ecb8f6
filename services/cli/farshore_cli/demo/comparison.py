"""What `skopeo copy` of the same images to each site would move: measured against empty registries, not estimated."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from farshore_cli.demo.relay import CountingRelay
from farshore_cli.demo.scenario import Push
from farshore_cli.demo.skopeo import Skopeo
from farshore_cli.stack.files import PRIVATE, write
from farshore_cli.stack.ports import HOST
from farshore_cli.stack.probes import http_answers
from farshore_cli.stack.registry_config import registry_config
from farshore_cli.supervisor import Part, Supervisor
from farshore_cli.tools.ports import free_ports


async def skopeo_bytes(
    skopeo: Skopeo, registry: Path, folder: Path, layout: Path, pushes: Sequence[Push], sites: Sequence[str]
) -> int:
    """Bytes in both directions, HTTP included, of copying `pushes` in order to an empty registry for each site."""
    supervisor = Supervisor(lambda _notice: None)
    ports = dict(zip(sites, free_ports(len(sites)), strict=True))
    try:
        await supervisor.start(*(_empty_registry(registry, folder / site, port) for site, port in ports.items()))
        async with AsyncExitStack() as opened:
            relays = [await opened.enter_async_context(CountingRelay(port)) for port in ports.values()]
            await asyncio.gather(*(_copy(skopeo, layout, pushes, relay) for relay in relays))
            return sum(relay.bytes_passed for relay in relays)
    finally:
        await supervisor.stop()


async def _copy(skopeo: Skopeo, layout: Path, pushes: Sequence[Push], relay: CountingRelay) -> None:
    for push in pushes:
        await skopeo.push(layout, push, relay.url)


def _empty_registry(program: Path, folder: Path, port: int) -> Part:
    config = folder / "registry.yaml"
    write(config, registry_config(folder / "data", f"{HOST}:{port}", "comparison", read_only=False), PRIVATE)
    return Part(
        name=f"empty-registry-{folder.name}",
        command=(str(program), "serve", str(config)),
        log_file=folder / "registry.log",
        ready=http_answers(f"http://{HOST}:{port}/v2/"),
        environ={"OTEL_TRACES_EXPORTER": "none"},
    )
