"""A registry's real garbage collector behind a fence, in the middle of pushes: no site ever sees it half done."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from farshore_command import end_of, start_farshore
from local_stack import LocalStack
from registry_process import blob_file
from stack_images import Pushed, push_image, served_at, served_everywhere
from waiting import wait_until

from farshore_cli.stack.layout import Layout
from farshore_cli.tools.find import Tools

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

SITES = ("fra", "syd")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    with LocalStack(tmp_path / "state") as stack:
        yield stack


async def snapshots(stack: LocalStack) -> set[str]:
    """farshore's on the primary's volume."""
    ontap = stack.endpoints["sites"]["nyc"]["ontap"]
    login = base64.b64encode(f"{ontap['username']}:{ontap['password']}".encode()).decode()
    async with aiohttp.ClientSession(ontap["url"], headers={"Authorization": f"Basic {login}"}) as session:

        async def get(path: str) -> list[dict[str, Any]]:
            async with session.get(path) as reply:
                records: list[dict[str, Any]] = (await reply.json())["records"]
                return records

        (volume,) = await get(f"/api/storage/volumes?name={ontap['volume']}")
        return {
            record["name"] for record in await get(f"/api/storage/volumes/{volume['uuid']}/snapshots?name=farshore-*")
        }


async def why_behind(stack: LocalStack) -> list[str]:
    url = f"{stack.endpoints['coalescer']['url']}/v1/relationships"
    async with aiohttp.ClientSession() as session, session.get(url) as reply:
        return [entry["why_behind"] or "" for entry in await reply.json()]


async def test_garbage_is_collected_behind_a_fence_in_the_middle_of_pushes(
    stack: LocalStack, tools: Tools, tmp_path: Path
) -> None:
    async def push(name: str) -> Pushed:
        return await push_image(stack, tools, tmp_path, f"team/{name}")

    layout = Layout(stack.state_dir)
    (kept, _), (garbage, layer) = await push("kept"), await push("garbage")
    await served_everywhere(stack, garbage)
    url = f"{stack.endpoints['sites']['nyc']['registry']}/v2/{garbage.repository}/manifests/{garbage.digest}"
    async with aiohttp.ClientSession() as session, session.delete(url) as reply:
        assert reply.status == 202

    steps = {name: tmp_path / name for name in ("held", "collect", "collected", "end")}
    registry = next(iter(tools.registries.values()))
    script = f"""
        touch {steps["held"]}
        while [ ! -e {steps["collect"]} ]; do sleep 0.05; done
        {registry} garbage-collect {layout.config_file("registry-nyc.yaml")} > {tmp_path}/output 2>&1 || exit 1
        touch {steps["collected"]}
        while [ ! -e {steps["end"]} ]; do sleep 0.05; done
    """
    where = ("--topology", stack.endpoints["topology"], "--kafka", stack.endpoints["kafka"]["bootstrap_servers"])
    fence = await start_farshore("fence", *where, "main", "--for", "10m", "--", "sh", "-c", script)
    await wait_until(steps["held"].exists, 60, "the fence to hold")
    before = await snapshots(stack)
    inside = [await push("before-the-collector")]
    steps["collect"].touch()
    await wait_until(steps["collected"].exists, 60, "the collector's end")
    assert not blob_file(layout.export("nyc"), layer).exists(), (tmp_path / "output").read_text()
    inside.append(await push("behind-the-collector"))

    async def is_held() -> bool:
        reasons = await why_behind(stack)
        return len(reasons) == len(SITES) and all("holds snapshots" in reason for reason in reasons)

    await wait_until(is_held, 60, "all sites to wait for the fence")
    assert await snapshots(stack) <= before
    for site in SITES:
        assert blob_file(layout.export(site), layer).exists()
        assert not any(blob_file(layout.export(site), late).exists() for _, late in inside)
    steps["end"].touch()
    done = await end_of(fence)
    assert done.code == 0, done.err
    for pushed, late in inside:
        await served_everywhere(stack, pushed)
        assert all(blob_file(layout.export(site), late).exists() for site in SITES)
    assert all([await served_at(stack, site, kept) for site in SITES])
    assert not any(blob_file(layout.export(site), layer).exists() for site in SITES)
