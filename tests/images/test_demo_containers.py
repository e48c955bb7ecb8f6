"""compose/compose.yaml, started: what docs/install.md has a user type, with a real client in place of Docker's."""

import os
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest
import pytest_asyncio
from compose_project import ComposeProject, typed
from container_images import Answer, Figures, Images
from documents import ROOT
from stand_ins import build_stand_in, can_stand_in
from waiting import wait_until

from farshore.media_types import OCI_MANIFEST
from farshore.oci import Repository, Tag
from farshore_cli.demo.oci_layout import LayoutWriter
from farshore_cli.demo.scenario import Push
from farshore_cli.demo.skopeo import Skopeo
from farshore_cli.tools.find import find_tools
from farshore_cli.tools.ports import free_ports

pytestmark = [pytest.mark.slow, pytest.mark.end_to_end, pytest.mark.timeout(1_500)]

ON_DEMAND = {"cli"}
ENDED = {"kafka": 143, "registry-nyc": 2, "registry-fra": 2, "registry-syd": 2}
"""Exit codes on SIGTERM that aren't 0: Java's, and that of a Go program which doesn't take the signal."""
SITES = ("nyc", "fra", "syd")
REPLICAS = SITES[1:]
REPOSITORY = Repository.parse("team/alpine")


class Demo(NamedTuple):
    """The project, and where its edges and Prometheus listen on this host."""

    project: ComposeProject
    edges: dict[str, str]
    prometheus: str

    async def type(self, start: str, *more: str) -> Answer:
        """Run the command of docs/install.md that starts with `start`, and `more` at its end."""
        return await self.compose(*typed("compose.yaml", start), *more)

    async def compose(self, action: str, *words: str) -> Answer:
        """Run what is typed behind `docker compose --file compose/compose.yaml`."""
        # Docker Compose takes a service that is named for one of a profile that is on, and looks for a terminal itself
        terminal = ["-T"] if action in ("run", "exec") else []
        answer = await self.project.compose("--profile=tools", action, *terminal, *words)
        assert answer.code == 0, answer.err
        return answer


@pytest_asyncio.fixture(scope="module")
async def demo(images: Images, figures: Figures, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Demo]:
    """All of it, healthy; gone behind the tests."""
    *edges, prometheus = free_ports(4)
    ports = {f"DEMO_EDGE_{site.upper()}": str(port) for site, port in zip(SITES, edges, strict=True)}
    project = ComposeProject(
        images,
        tmp_path_factory.mktemp("demo"),
        (ROOT / "compose" / "compose.yaml",),
        f"farshore-test-{os.getpid()}",
        {**ports, "DEMO_PROMETHEUS": str(prometheus)},
    )
    started = {
        name for name, service in project.services.items() if "build" in service or can_stand_in(service["image"])
    } - ON_DEMAND
    needed = [project.services[name] for name in started | ON_DEMAND]
    for image, service in {service["image"]: service for service in needed}.items():
        if "build" in service:
            images.tag(service["build"]["target"], re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", image))
        else:
            build_stand_in(images, image)
    try:
        began = time.monotonic()
        await project.up(started)
        figures["demo"] = {"seconds_to_healthy": round(time.monotonic() - began, 1)}
        urls = {site: f"http://127.0.0.1:{port}" for site, port in zip(SITES, edges, strict=True)}
        yield Demo(project, urls, f"http://127.0.0.1:{prometheus}")
    finally:
        await project.remove()


async def push(demo: Demo, folder: Path, tag: str) -> Push:
    """Push an image of one layer at nyc."""
    writer = LayoutWriter(folder / f"image-{tag}")
    image = writer.image([writer.layer(os.urandom(3_000_000))])
    writer.name(image, "it")
    pushed = Push(REPOSITORY, Tag.parse(tag), image.digest, "it")
    await Skopeo(find_tools().skopeo).push(writer.folder, pushed, demo.edges["nyc"])
    return pushed


async def pull(demo: Demo, pushed: Push, site: str, folder: Path) -> None:
    """Pull it at a site, whose own registry has to be the one that serves it."""
    url = f"{demo.edges[site]}/v2/{pushed.repository}/manifests"
    async with aiohttp.ClientSession(headers={"Accept": OCI_MANIFEST}) as session:
        async with session.get(f"{url}/{pushed.tag}") as answer:
            assert answer.headers["Docker-Content-Digest"] == pushed.digest
        async with session.get(f"{url}/{pushed.digest}") as answer:
            assert (answer.status, answer.headers["X-Farshore-Served"]) == (200, "local")
    await Skopeo(find_tools().skopeo).pull(
        demo.edges[site], pushed, LayoutWriter(folder / f"{site}-{pushed.tag}").folder
    )


async def test_an_image_pushed_at_one_site_is_told_ready_and_pulled_at_the_others(
    demo: Demo, figures: Figures, tmp_path: Path
) -> None:
    pushed = await push(demo, tmp_path, "1")
    began = time.monotonic()
    waited = await demo.type("run --rm cli wait")
    figures["demo"]["seconds_to_ready"] = round(time.monotonic() - began, 1)
    for site in REPLICAS:
        assert f"{site}: ready" in waited.out
        await pull(demo, pushed, site, tmp_path)
    hops = (await demo.type("run --rm cli status")).out.splitlines()[1:]
    assert [(hop.split()[1], hop.split()[4]) for hop in hops] == [("fra", "ok"), ("syd", "ok")]
    told = await demo.type("exec kafka", "--max-messages", str(len(REPLICAS) + 1), "--timeout-ms", "120000")
    assert '"ready-everywhere"' in told.out
    assert pushed.digest in told.out


async def test_a_push_is_one_trace_that_the_collector_hands_on(demo: Demo, tmp_path: Path) -> None:
    ids = await demo.project.ids()
    if "collector" not in ids:
        pytest.skip("the OpenTelemetry collector is not here: scripts/setup-collector builds it where Go is")
    pushed = await push(demo, tmp_path, "traced")
    await demo.compose("run", "--rm", "cli", "wait", pushed.reference)

    async def traced() -> bool:
        """Whether all three told of their work where the viewer stands; a batch has a trace of its own, linked."""
        services: defaultdict[str, set[str]] = defaultdict(set)
        service = ""
        told = await demo.project.podman("logs", ids["jaeger"])
        for line in (told.out + told.err).splitlines():
            if named := re.search(r"-> service\.name: Str\((.*)\)", line):
                service = named[1]
            elif trace := re.search(r"Trace ID +: ([0-9a-f]{32})", line):
                services[trace[1]].add(service)
        told_of = [{name.removeprefix("farshore-") for name in found} for found in services.values()]
        return {"receiver", "verifier"} in told_of and any("coalescer" in found for found in told_of)

    await wait_until(traced, 60, "one trace from receiver to verifier, and the batch's")
    told = await demo.project.podman("logs", ids["collector"])
    assert "\twarn\t" not in told.out + told.err


async def test_prometheus_reads_every_services_metrics_and_the_alarms(demo: Demo) -> None:
    async with aiohttp.ClientSession(demo.prometheus) as session:

        async def up() -> dict[str, str]:
            async with session.get("/api/v1/query", params={"query": "up"}) as answer:
                found = (await answer.json())["data"]["result"]
            return {series["metric"]["instance"].partition(":")[0]: series["value"][1] for series in found}

        async def all_up() -> bool:
            return await up() == dict.fromkeys(("receiver", "coalescer", "verifier", "reconciler"), "1")

        await wait_until(all_up, 60, "every service's metrics")
        async with session.get("/api/v1/rules") as answer:
            (group,) = (await answer.json())["data"]["groups"]
    assert {rule["health"] for rule in group["rules"]} <= {"ok", "unknown"}
    assert len(group["rules"]) > 5


async def test_processes_have_no_rights_and_a_root_that_they_cannot_write_to(demo: Demo, figures: Figures) -> None:
    hardened = 0
    for name in await demo.project.ids():
        service = demo.project.services[name]
        if service["restart"] == "no":
            continue
        container = await demo.project.container(name)
        figures.setdefault(f"demo: {name}", {})["peak_memory_bytes"] = container.peak_memory_bytes()
        if service.get("cap_drop") == ["ALL"]:
            hardened += 1
            status = container.status()
            assert (status["CapEff"], status["CapBnd"], status["NoNewPrivs"]) == ("0" * 16, "0" * 16, "1"), name
            assert status["Uid"].split()[0] != "0", name
            assert container.root_is_read_only(), name
    assert hardened > 10


async def test_it_stops_in_order_starts_again_with_all_it_had_and_is_taken_away(demo: Demo, tmp_path: Path) -> None:
    before = await push(demo, tmp_path, "before")
    await demo.compose("run", "--rm", "cli", "wait", before.reference)
    exit_codes = await demo.project.stop()
    assert exit_codes == {name: ENDED.get(name, 0) for name in exit_codes}
    await demo.project.start(exit_codes)
    for site in REPLICAS:
        await pull(demo, before, site, tmp_path)
    after = await push(demo, tmp_path, "after")
    await demo.compose("run", "--rm", "cli", "wait", after.reference)
    await demo.type("down")
    assert await demo.project.left() == ""
