"""The chart where pods run: they get ready, replicate, are replaced without a loss, and go without a trace."""

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from charts import CHART
from kafka_log import read_all
from node_releases import NodeReleases
from node_sites import NodeSites
from registry_process import Image, Pusher
from waiting import wait_until

from farshore.bus.topics import DEADLETTER, READINESS, Topic
from farshore.records.readiness import Readiness, ReadinessState

pytestmark = [pytest.mark.integration, pytest.mark.slow]

REPOSITORY = "team/app"
PUSHES = 40


async def pushed(releases: NodeReleases, *tags: str) -> dict[str, Image]:
    """Push an image for each tag through fra's edge, whose certificate is checked."""
    connector = aiohttp.TCPConnector(ssl=releases.trust)
    async with aiohttp.ClientSession(connector=connector) as session:
        pusher = Pusher(releases.sites.edge_url, session)
        return {tag: await pusher.image(REPOSITORY, tag, os.urandom(10_000)) for tag in tags}


async def records(sites: NodeSites, topic: Topic) -> list[bytes]:
    found = [await read_all(sites.bus, topic.name, partition) for partition in range(topic.partitions)]
    return [record.value or b"" for partition in found for record in partition]


async def ready_everywhere(sites: NodeSites) -> dict[str, set[str]]:
    """The events by which each image was said to be ready at every site."""
    found: dict[str, set[str]] = {}
    for value in await records(sites, READINESS):
        said = Readiness.from_json(value, "readiness")
        if said.state is ReadinessState.READY_EVERYWHERE:
            found.setdefault(said.image, set()).add(said.event_id)
    return found


async def all_ready_everywhere(sites: NodeSites, tags: set[str]) -> None:
    wanted = {f"{REPOSITORY}:{tag}" for tag in tags}

    async def are_ready() -> bool:
        return wanted <= set(await ready_everywhere(sites))

    await wait_until(are_ready, 60, f"{len(wanted)} images to be ready everywhere")


def peak_mebibytes(container: str) -> int:
    """The most resident memory that a container's main process has had, of its id as the pod's status has it."""
    sought = container.rpartition("/")[2]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if sought in (process / "cgroup").read_text():
                (line,) = re.findall(r"^VmHWM:\s+(\d+) kB$", (process / "status").read_text(), re.MULTILINE)
                return int(line) // 1024
        except (FileNotFoundError, ProcessLookupError):
            continue
    raise AssertionError(f"{container} has no process")


def pod_names(releases: NodeReleases) -> set[str]:
    return {pod["metadata"]["name"] for pod in releases.pods()}


def containers_of(pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [container for pod in pods for container in pod["status"].get("containerStatuses", [])]


async def test_helm_test_finds_all_of_it_and_shows_what(releases: NodeReleases) -> None:
    said = releases.helm("test", releases.HUB, "--logs")
    for service in ("receiver-management:8081", "coalescer:8080", "verifier:8080", "reconciler:8080"):
        assert re.search(rf"^ok +service http://hub-{service} +ready", said, re.MULTILINE), said
    assert re.search(rf"^ok +edge of fra, https://{releases.EDGE} ", said, re.MULTILINE), said
    said = releases.helm("test", releases.SITE, "--logs")
    for service in ("edge-agent:8081", "verifier:8080"):
        assert re.search(rf"^ok +service http://fra-{service} +ready", said, re.MULTILINE), said


async def test_what_is_pushed_at_a_sites_edge_gets_ready_everywhere(
    releases: NodeReleases, figures: dict[str, object]
) -> None:
    await pushed(releases, "v1")
    await all_ready_everywhere(releases.sites, {"v1"})
    pods = releases.pods()
    assert {one["name"]: one["restartCount"] for one in containers_of(pods)} == dict.fromkeys(
        ("receiver", "coalescer", "verifier", "reconciler", "nginx", "agent"), 0
    )
    figures["peak MiB of each container"] = {
        f"{pod['metadata']['name']}/{one['name']}": peak_mebibytes(one["containerID"])
        for pod in pods
        for one in pod["status"]["containerStatuses"]
    }


async def test_a_new_topology_replaces_the_hubs_pods_under_pushes(
    releases: NodeReleases, figures: dict[str, object]
) -> None:
    """Nothing is lost, nor announced a second time as lost; the edge goes on."""
    before = pod_names(releases)
    tags = [f"roll-{number}" for number in range(PUSHES)]
    changed = releases.hub_values(releases.other_topology(batching={"min_interval": "1s"}))
    upgrading = asyncio.to_thread(releases.helm, "upgrade", releases.HUB, str(CHART), *changed, "--wait")
    upgrade = asyncio.create_task(upgrading)
    for tag in tags:
        await pushed(releases, tag)
    await upgrade
    await pushed(releases, "after")
    await releases.all_ready()
    await all_ready_everywhere(releases.sites, {*tags, "after"})
    of_fra = {name for name in before if name.startswith("fra-")}
    await wait_until(lambda: before & pod_names(releases) == of_fra, 60, "the old pods of the hub to be gone")
    assert {len(events) for events in (await ready_everywhere(releases.sites)).values()} == {1}
    # none on a node that has time: how soon kube-proxy hears of a pod's end is not the chart's
    figures["notifications sent again in a roll-out"] = releases.sites.registry_log.read_text().count("retrying")
    assert await records(releases.sites, DEADLETTER) == []


async def test_a_topology_that_cannot_work_stops_at_the_first_pod_which_says_why(releases: NodeReleases) -> None:
    secret = "/etc/farshore/secrets/notification-tokens/nothing"
    wrong = releases.hub_values(releases.other_topology(notifications={"tokens": [f"file:{secret}"]}))
    releases.helm("upgrade", releases.HUB, str(CHART), *wrong)

    def reason() -> str:
        ended = [one["lastState"].get("terminated", {}) for one in containers_of(releases.pods())]
        return next((one["message"] for one in ended if one.get("exitCode") == 78), "")

    assert secret in await wait_until(reason, 60, "a pod to end with 78")
    receivers = [
        pod for pod in releases.pods() if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "receiver"
    ]
    assert sum(one["ready"] for one in containers_of(receivers)) == 2
    await pushed(releases, "meanwhile")
    releases.helm("rollback", releases.HUB, "--wait")
    await releases.all_ready()
    await all_ready_everywhere(releases.sites, {"meanwhile"})


async def test_uninstalling_leaves_what_is_the_users(releases: NodeReleases) -> None:
    releases.helm("uninstall", releases.SITE, "--wait")
    releases.helm("uninstall", releases.HUB, "--wait")
    await wait_until(lambda: releases.pods() == [], 60, "the pods to be gone")
    for group, plural in (
        ("apis/apps/v1", "deployments"),
        ("apis/apps/v1", "replicasets"),
        ("api/v1", "services"),
        ("apis/policy/v1", "poddisruptionbudgets"),
    ):
        assert releases.names(group, plural) == set()
    assert releases.names("api/v1", "configmaps") == {"private-ca", "kube-root-ca.crt"}
    assert releases.names("api/v1", "secrets") == {"notification-tokens", "ontap", "registry-fra"}
    assert releases.names("api/v1", "serviceaccounts") == {"default"}
