"""A site leaves a running stack and comes back, under pushes: nothing is lost, and nobody else waits for it."""

import asyncio
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from auditor import audit
from farshore_command import Ended, end_of, start_farshore
from image_pushes import ContinuousPushes
from limited_users import ALL, calls_of_user, clusters_of, limit
from local_stack import LocalStack
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.records.readiness import Readiness
from farshore_cli.sites.readiness import ready_images

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

SITE, OTHER = "syd", "fra"
LEAVES = ["nothing is replicated to"]
COMES = ["events announced"]
"""What the commands say as they go, once the storage is done."""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    environ = {"FARSHORE_RECONCILER_EVERY": "3600"}
    with LocalStack(tmp_path / "state", environ=environ) as stack:
        limit(stack, tmp_path)
        yield stack
        assert calls_of_user(clusters_of(stack)) <= ALL


def without(text: str, site: str) -> str:
    document = yaml.safe_load(text)
    del document["sites"][site]
    replicas = document["registries"]["main"]["replicas"]
    document["registries"]["main"]["replicas"] = [one for one in replicas if one["site"] != site]
    return str(yaml.safe_dump(document))


def text_of(file: Path) -> str:
    return file.read_text()


def put(file: Path, text: str) -> None:
    draft = file.with_suffix(".new")
    draft.write_text(text)
    draft.replace(file)


class Ready:
    """What is ready at a site."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def at(self, site: str) -> dict[str, Readiness]:
        return {one.image: one for one in await ready_images(self._bus, site, lambda _: True)}


async def killed_at_each_of(stages: list[str], *arguments: str) -> list[str]:
    """Run the command again and again until it ends: when it says something with the next of `stages` in it, it is
    killed. Returns all that was said. (At each call to a cluster: test_site_killed.py.)"""
    said: list[str] = []
    left = list(stages)
    while True:
        process = await start_farshore(*arguments)
        assert process.stdout is not None
        async for line in process.stdout:
            said.append(line.decode().rstrip())
            if left and left[0] in said[-1]:
                left.pop(0)
                process.kill()
                break
        else:
            ended = await end_of(process, 240)
            assert (ended.code, left) == (0, []), (said, ended.err)
            return said
        await process.communicate()


def number_in(said: list[str], words: str) -> int:
    """The sum of what stands before `words` in all lines."""
    return sum(int(found[1]) for line in said if (found := re.search(rf"(\d+) {words}", line)))


async def told(*arguments: str, code: int = 0) -> dict[str, Any]:
    ended: Ended = await end_of(await start_farshore(*arguments, "--output", "json"))
    assert ended.out, ended.err
    document: dict[str, Any] = json.loads(ended.out)
    assert ended.code == code, (document["storage"], document.get("readiness"))
    return document


async def test_a_site_leaves_and_comes_back_while_pushes_go_on(stack: LocalStack) -> None:
    endpoints = stack.endpoints
    kafka, file = endpoints["kafka"]["bootstrap_servers"], Path(endpoints["topology"])
    bus = Bus(kafka)
    ready = Ready(bus)
    where = ("--topology", str(file), "--kafka", kafka)
    whole = text_of(file)
    pushes = ContinuousPushes(endpoints["sites"]["nyc"]["edge"], "team", random.Random(7), pause_seconds=0.4)
    pushing = asyncio.create_task(pushes.run())
    pids = {name: stack.pid_of(name) for name in ("receiver", "coalescer", "verifier", "reconciler")}

    async def other_goes_on() -> None:
        """What is pushed from now on gets ready at the other site."""
        count = len(pushes.pushed)

        async def is_ready() -> bool:
            there = {one.digest for one in (await ready.at(OTHER)).values()}
            return any(one.digest in there for one in pushes.pushed[count:])

        await wait_until(is_ready, 60, f"a new push is ready at {OTHER}")

    async def both_have_some() -> bool:
        return len(await ready.at(SITE)) >= 5 and len(await ready.at(OTHER)) >= 5

    await wait_until(both_have_some, 90, "the first pushes everywhere")

    leaving = asyncio.create_task(killed_at_each_of(LEAVES, "site", "remove", SITE, *where, "--delete-data", SITE))
    export = Path(endpoints["sites"][SITE]["path"])
    await wait_until(lambda: not export.exists(), 60, "the data is deleted")
    await other_goes_on()
    put(file, without(whole, SITE))
    assert number_in(await leaving, "images that were ready") >= 5
    assert await ready.at(SITE) == {}
    await other_goes_on()
    again = await told("site", "remove", SITE, *where, "--delete-data", SITE)
    assert (again["storage"], again["revoked"]) == (None, 0)

    put(file, whole)
    add = ("site", "add", SITE, *where, "--grace", "1s", "--volume-size", "1GiB")
    coming = asyncio.create_task(killed_at_each_of(COMES, *add))
    await other_goes_on()
    # it was told otherwise before: all has to be said anew
    assert number_in(await coming, "events announced") >= 5
    came = await told(*add)
    assert came["readiness"]["undecided"] == {"main": 0}
    pushes.stop()
    await pushing

    wanted = {f"{one.repository}:{one.tag}" for one in pushes.pushed if one.tag is not None}

    async def both_have_all() -> bool:
        here, there = await ready.at(SITE), await ready.at(OTHER)
        same = {name: one.digest for name, one in here.items()} == {name: one.digest for name, one in there.items()}
        return same and wanted <= here.keys()

    await wait_until(both_have_all, 90, "everything is ready at both")
    assert {name: stack.pid_of(name) for name in pids} == pids  # taken up without a restart of any process
    found = await audit(bus, [OTHER, SITE], pushed=pushes.pushed)
    assert [one for one in found if f" at {OTHER}" in one] == []
