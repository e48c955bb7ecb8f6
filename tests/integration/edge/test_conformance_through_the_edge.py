"""The OCI distribution conformance suite comes to the same result through an edge as at the registry, case by case.

The suite is a program of its own: `scripts/conformance` builds it from a checkout, and says how to get one.
"""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from conformance import Cases, run_suite
from edge_servers import Server
from registry_process import RegistryProcess

from farshore.topology import Topology, parse_topology
from farshore_cli.stack.probes import http_answers
from farshore_cli.tools.find import Tools
from farshore_cli.tools.ports import free_port
from farshore_edge.render import render
from farshore_edge.runtime import Runtime

pytestmark = pytest.mark.integration


def one_replica(primary: str, replica: str, edge: str) -> Topology:
    site = {"model": "cloud", "ontap": {"url": "http://127.0.0.1:9", "password": "env:X", "svm": "s"}}
    registry = {
        "primary": {"site": "nyc", "volume": "v", "url": primary},
        "replicas": [{"site": "fra", "volume": "v", "url": replica}],
        "notifications": {"tokens": ["env:X"]},
    }
    sites = {"nyc": site, "fra": {**site, "edge": {"url": f"http://{edge}", "listen": edge}}}
    return parse_topology(json.dumps({"version": 1, "sites": sites, "registries": {"main": registry}}), "test")


class Trailing:
    """A replica's content: switched in one step to one copy of the primary's after another, each outdated at once."""

    def __init__(self, primary: Path, folder: Path) -> None:
        self._primary = primary
        self._folder = folder
        self.root = folder / "current"
        self.copies = 0
        folder.mkdir()
        self.copy()

    def copy(self) -> None:
        copy = self._folder / f"copy-{self.copies}"
        with contextlib.suppress(shutil.Error, FileNotFoundError):  # the primary is written meanwhile
            shutil.copytree(self._primary, copy)
        draft = self._folder / "next"
        draft.symlink_to(copy)
        draft.replace(self.root)
        self.copies += 1

    async def follow(self) -> None:
        while True:
            await asyncio.to_thread(self.copy)


@pytest.fixture(scope="module")
def suite(tools: Tools) -> tuple[Path, Path]:
    """The suite's program, and the registry that it is run against."""
    if tools.conformance is None:
        pytest.skip("the OCI conformance suite isn't here; scripts/conformance builds it where Go is")
    if tools.registry_v3 is None:
        pytest.skip("distribution 3.x isn't here; scripts/setup --for-tests builds it where Go is")
    return tools.conformance, tools.registry_v3


@pytest.fixture
async def primary(suite: tuple[Path, Path], tmp_path: Path) -> AsyncIterator[RegistryProcess]:
    registry = RegistryProcess(suite[1], tmp_path / "primary")
    registry.root.mkdir()
    await registry.start()
    yield registry
    registry.stop()


@contextlib.asynccontextmanager
async def edge_before(primary: RegistryProcess, replica: str, folder: Path, tools: Tools) -> AsyncIterator[str]:
    """The address of site fra's edge, which is all that the suite knows."""
    address = f"127.0.0.1:{free_port()}"
    runtime = Runtime.below(folder, access_log=folder / "access.log", error_log=folder / "edge.log")
    config = folder / "edge.conf"
    config.write_text(render(one_replica(primary.url, replica, address), "fra", runtime))
    command = (str(tools.nginx), "-e", "stderr", "-c", str(config))
    nginx = Server(command, http_answers(f"http://{address}/edge/health"), folder / "nginx.log")
    await nginx.start()
    try:
        yield address
    finally:
        nginx.stop()


async def outcome(program: Path, address: str, folder: Path) -> Cases:
    return await asyncio.to_thread(run_suite, program, address, folder, f"conformance/{folder.name}")


def difference(bare: Cases, edge: Cases) -> dict[str, Cases]:
    return {"at the registry alone": bare - edge, "through the edge alone": edge - bare}


NONE = {"at the registry alone": Cases(), "through the edge alone": Cases()}


async def test_it_is_the_same_with_the_replica_up_behind_and_down(
    suite: tuple[Path, Path], primary: RegistryProcess, tools: Tools, tmp_path: Path
) -> None:
    program, registry = suite
    bare = await outcome(program, f"127.0.0.1:{primary.port}", tmp_path / "bare")
    assert bare["in all", "tests"] - bare["in all", "failures"] > 700, bare

    up = RegistryProcess(registry, primary.root, read_only=True)
    async with edge_before(primary, up.url, tmp_path, tools) as address:
        down = await outcome(program, address, tmp_path / "down")
        await up.start()
        try:
            same = await outcome(program, address, tmp_path / "up")
        finally:
            up.stop()
    assert difference(bare, down) == NONE
    assert difference(bare, same) == NONE

    trailing = Trailing(primary.root, tmp_path / "trailing")
    late = RegistryProcess(registry, trailing.root, read_only=True)
    await late.start()
    following = asyncio.create_task(trailing.follow())
    try:
        async with edge_before(primary, late.url, tmp_path, tools) as address:
            behind = await outcome(program, address, tmp_path / "behind")
    finally:
        following.cancel()
        late.stop()
    assert difference(bare, behind) == NONE
    assert trailing.copies > 2
