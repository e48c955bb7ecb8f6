"""A garbage collection that went wrong reaches a replica, which goes back to what was verified, and stays there."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from farshore_command import farshore, start_farshore
from limited_users import ALL, calls_of_user, clusters_of, limit
from local_stack import LocalStack
from registry_process import blob_file
from stack_images import push_image
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.oci import Digest
from farshore_cli.sites.readiness import ready_images
from farshore_cli.stack.layout import Layout
from farshore_cli.tools.find import Tools

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

SITE, OTHER = "fra", "syd"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    environ = {"FARSHORE_RECONCILER_GRACE": "1", "FARSHORE_RECONCILER_EVERY": "3600"}
    with LocalStack(tmp_path / "state", environ=environ) as stack:
        limit(stack, tmp_path)
        yield stack
        assert calls_of_user(clusters_of(stack)) <= ALL


@dataclass
class Images:
    """Pushes at the primary, and what is said of them."""

    stack: LocalStack
    tools: Tools
    folder: Path

    async def push(self, name: str) -> Digest:
        """An image as `team/NAME:v1`; its layer's digest."""
        return (await push_image(self.stack, self.tools, self.folder, f"team/{name}")).layer

    async def ready(self, site: str) -> set[str]:
        bus = Bus(self.stack.endpoints["kafka"]["bootstrap_servers"])
        return {str(one.repository) for one in await ready_images(bus, site, lambda _: True)}

    async def become_ready(self, site: str, *names: str) -> None:
        async def are() -> bool:
            return {f"team/{name}" for name in names} <= await self.ready(site)

        await wait_until(are, 90, f"{names} ready at {site}")


async def served(stack: LocalStack, site: str, name: str, layer: Digest) -> int:
    url = f"{stack.endpoints['sites'][site]['registry']}/v2/team/{name}/blobs/{layer}"
    async with aiohttp.ClientSession() as session, session.get(url) as reply:
        return reply.status


async def why_behind(stack: LocalStack, site: str) -> str:
    url = f"{stack.endpoints['coalescer']['url']}/v1/relationships"
    async with aiohttp.ClientSession() as session, session.get(url) as reply:
        (found,) = [one for one in await reply.json() if one["relationship"] == f"main.{site}"]
        return str(found["why_behind"])


async def test_a_replica_goes_back_to_what_was_verified_is_held_there_and_let_go(
    stack: LocalStack, tools: Tools, tmp_path: Path
) -> None:
    images = Images(stack, tools, tmp_path)
    layout = Layout(stack.state_dir)
    where = ("--topology", stack.endpoints["topology"], "--kafka", stack.endpoints["kafka"]["bootstrap_servers"])

    async def told(*arguments: str) -> dict[str, Any]:
        ended = await farshore("rollback", SITE, *where, "--output", "json", *arguments)
        assert ended.code == 0, (ended.out, ended.err)
        document: dict[str, Any] = json.loads(ended.out)
        return document

    good = await images.push("good")
    for site in (SITE, OTHER):
        await images.become_ready(site, "good")
    lost = blob_file(layout.export("nyc"), good)
    kept = lost.read_bytes()
    lost.unlink()  # what a garbage collector does that was told wrong
    await images.push("after")
    for site in (SITE, OTHER):
        await images.become_ready(site, "good", "after")  # nobody looks at `good` again: it is still called ready
    assert await served(stack, SITE, "good", good) == 404

    dry = await told("--to", "last-verified", "--dry-run")
    assert (dry["stay"], dry["revoked"]) == (1, ["team/after:v1"])
    unnamed = await farshore("rollback", SITE, *where, "--to", "last-verified")
    assert (unnamed.code, "nothing was changed" in unnamed.err) == (2, True)
    assert await served(stack, SITE, "good", good) == 404

    killed = await start_farshore("rollback", SITE, *where, "--to", "last-verified", "--yes", f"main.{SITE}")
    assert killed.stdout is not None
    async for line in killed.stdout:
        if b"break the relationship" in line and line.rstrip().endswith(b"done"):
            killed.kill()  # the storage is back, and nobody has been told
            break
    await killed.wait()
    back = await told("--to", "last-verified", "--yes", f"main.{SITE}")
    assert back["snapshot"] == dry["snapshot"]
    assert await served(stack, SITE, "good", good) == 200
    assert await images.ready(SITE) == {"team/good"}
    assert await images.ready(OTHER) == {"team/good", "team/after"}

    await images.push("later")
    await images.become_ready(OTHER, "later")

    async def is_held() -> bool:
        return "broken off" in await why_behind(stack, SITE)

    await wait_until(is_held, 60, "the coalescer to say that it is held")
    assert await served(stack, SITE, "good", good) == 200
    assert await images.ready(SITE) == {"team/good"}

    lost.write_bytes(kept)  # the primary is mended
    await told("--release", "--yes", f"main.{SITE}")
    await images.become_ready(SITE, "good", "after", "later")
    assert await served(stack, SITE, "good", good) == 200
