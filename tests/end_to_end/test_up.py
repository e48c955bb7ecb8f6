"""`farshore up`: one stack that is used, broken, ended, and started again in its folder."""

import asyncio
import json
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from edge_agent import EdgeAgent
from farshore_command import farshore
from local_stack import LocalStack, children, is_running, kill
from stack_images import push_image, served_at, served_everywhere
from stack_release import hub_release, site_release
from waiting import wait_until

from farshore_cli.stack.parts import all_part_names
from farshore_cli.stack.probes import http_answers
from farshore_cli.tools.find import Tools
from farshore_cli.tools.ports import free_port

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("up") / "state") as stack:
        yield stack


def test_endpoints_name_every_part_with_a_process_that_runs(stack: LocalStack) -> None:
    processes = stack.endpoints["processes"]
    assert [process["name"] for process in processes] == list(all_part_names())
    assert all(is_running(process["pid"]) for process in processes)
    assert all(Path(process["log"]).exists() for process in processes)


def test_files_with_secrets_are_their_owners_only(stack: LocalStack) -> None:
    files = [stack.state_dir / "endpoints.json", *(stack.state_dir / "secrets").iterdir()]
    files += (stack.state_dir / "config").glob("registry-*.yaml")
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_no_log_holds_a_secret(stack: LocalStack) -> None:
    secrets = [file.read_text().strip() for file in (stack.state_dir / "secrets").iterdir()]
    logs = "".join(log.read_text(errors="replace") for log in (stack.state_dir / "logs").iterdir())
    assert not [secret for secret in secrets if secret in logs]


async def test_what_is_pushed_at_the_primary_arrives_everywhere(
    stack: LocalStack, tools: Tools, tmp_path: Path
) -> None:
    await served_everywhere(stack, (await push_image(stack, tools, tmp_path, "team/first")).push)


async def test_wait_ends_once_an_image_is_ready_and_explain_tells_its_way(
    stack: LocalStack, tools: Tools, tmp_path: Path
) -> None:
    endpoints = stack.endpoints
    where = ("--topology", endpoints["topology"], "--kafka", endpoints["kafka"]["bootstrap_servers"])
    pushed, _ = await push_image(stack, tools, tmp_path, "team/waited")
    image = f"team/waited:v1@{pushed.digest}"
    waited = await farshore("wait", image, *where, "--level", "content", "--timeout", "5m", within_seconds=400)
    assert waited.code == 0, (waited.out, waited.err)
    explained, unknown, refused = await asyncio.gather(
        farshore("explain", image, *where, "--coalescer", endpoints["coalescer"]["url"], "--output", "json"),
        farshore("wait", "team/never:v1", *where, "--sites", "fra", "--timeout", "1s", "--output", "json"),
        farshore("wait", "team/never:v1", *where, "--sites", "nyc"),
    )
    assert explained.code == 0, (explained.out, explained.err)
    document = json.loads(explained.out)
    assert (document["primary"], document["event"]["digest"]) == ("nyc", pushed.digest)
    for site in ("fra", "syd"):
        way = document["sites"][site]
        assert (way["stage"], way["digest"], way["level"]) == ("ready", pushed.digest, "content")
        assert document["event"]["accepted_at"] < way["arrived_at"] < way["decided_at"]
        assert way["snapshot"].startswith("farshore-")
    assert (unknown.code, json.loads(unknown.out)["sites"]["fra"]["stage"]) == (124, "unannounced")
    assert (refused.code, "has no replica" in refused.err) == (2, True)


def test_check_finds_nothing_wrong(stack: LocalStack) -> None:
    endpoints = stack.endpoints
    command = [sys.executable, "-m", "farshore_cli", "check", endpoints["topology"], "--connect"]
    done = subprocess.run(
        [*command, "--kafka", endpoints["kafka"]["bootstrap_servers"]], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout
    assert "WRONG" not in done.stdout


def told(mark: str, said: str) -> list[str]:
    """What a table of findings marks so."""
    return [line.removeprefix(mark).strip() for line in said.splitlines() if line.startswith(mark)]


async def test_helm_test_finds_a_hub_that_works_and_names_a_service_that_does_not(
    stack: LocalStack, tmp_path: Path
) -> None:
    release = await asyncio.to_thread(hub_release, stack, tmp_path)
    reconciler = f"{stack.endpoints['reconciler']['url']}/readyz"
    await wait_until(http_answers(reconciler), 60, "the reconciler, which up only starts")
    code, said = await asyncio.to_thread(release.tested, tmp_path)
    assert (code, told("WRONG", said)) == (0, []), said
    asked = ("Kafka", "ONTAP of syd", "relationship main.fra", "registry main at nyc", "edge of fra")
    for what in (*asked, *(f"service http://{address}" for address in release.services.values())):
        assert any(line.startswith(what) for line in told("ok", said)), (what, said)

    nobody = f"127.0.0.1:{free_port()}"
    code, said = await asyncio.to_thread(release.tested, tmp_path, {"farshore-verifier:8080": nobody})
    (line,) = told("WRONG", said)
    assert code == 1
    assert line.startswith(f"service http://{nobody} ")
    assert "start it" in line
    assert "Traceback" not in said


async def test_helm_test_finds_a_site_that_works_and_an_edge_whose_agent_does_not(
    stack: LocalStack, tools: Tools, tmp_path: Path
) -> None:
    edge = f"127.0.0.1:{free_port()}"
    agent = EdgeAgent(tmp_path, tools, edge)
    taken = stack.endpoints["sites"]["fra"]["edge"].removeprefix("http://")
    text = await asyncio.to_thread(Path(stack.endpoints["topology"]).read_text)
    agent.write_text(text.replace(taken, edge))
    try:
        release = site_release(stack, agent.url)
        await agent.start()
        code, said = await asyncio.to_thread(release.tested, tmp_path)
        assert (code, told("WRONG", said)) == (0, []), said
        assert f"service {agent.url}" in said
        assert f"service {stack.endpoints['verifier']['url']}" in said
    finally:
        agent.stop()
    code, said = await asyncio.to_thread(release.tested, tmp_path)
    (line,) = told("WRONG", said)
    assert code == 1
    assert line.startswith(f"service {agent.url} ")


def test_a_second_up_in_the_same_folder_is_refused(stack: LocalStack) -> None:
    command = [sys.executable, "-m", "farshore_cli", "up", "--state-dir", str(stack.state_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 78
    assert f"runs there already, as process {stack.pid}" in done.stderr
    assert stack.endpoints["processes"]


@pytest.mark.parametrize("part", ["coalescer", "registry-nyc", "ontap-nyc", "ontap-fra", "edge-syd", "kafka"])
async def test_a_part_that_is_killed_comes_back_and_work_goes_on(
    stack: LocalStack, tools: Tools, tmp_path: Path, part: str
) -> None:
    before = stack.pid_of(part)
    kill(before)

    def is_back() -> bool:
        pids = {process["name"]: process["pid"] for process in stack.endpoints["processes"]}
        return pids.get(part, before) != before and f"{part}: ready pid {pids[part]}" in stack.output

    await wait_until(is_back, 60, f"{part} again")
    await served_everywhere(stack, (await push_image(stack, tools, tmp_path, f"team/after-{part}")).push)


def replace(file: Path, text: str) -> None:
    """So that nobody sees half of it."""
    draft = file.with_name("draft")
    draft.write_text(text)
    draft.replace(file)


async def test_a_topology_that_is_refused_is_told_with_its_reason(stack: LocalStack) -> None:
    file = stack.state_dir / "topology.yaml"
    text = await asyncio.to_thread(file.read_text)
    replace(file, f"{text}surprise: 1\n")
    line = text.count("\n") + 1
    await wait_until(lambda: f"{file}:{line}: unknown key surprise" in stack.output, 60, "up to say why")
    replace(file, text)
    await wait_until(lambda: "the topology can be used again" in stack.output, 60, "up to say that it is right again")


async def writers_at(stack: LocalStack, site: str) -> list[list[int]]:
    """The processes that the site's cluster holds still for the moment of a snapshot."""
    url = stack.endpoints["sites"][site]["ontap"]["url"]
    async with aiohttp.ClientSession() as session, session.get(f"{url}/sim/writers") as answer:
        return [writer["pids"] for writer in (await answer.json())["writers"]]


async def test_the_primarys_cluster_knows_which_process_writes(stack: LocalStack) -> None:
    """Here it is the one that was started again."""
    assert await writers_at(stack, "nyc") == [[stack.pid_of("registry-nyc")]]


async def test_edges_and_registries_follow_a_move(stack: LocalStack, tools: Tools, tmp_path: Path) -> None:
    endpoints = stack.endpoints
    where = ("--topology", endpoints["topology"], "--kafka", endpoints["kafka"]["bootstrap_servers"])
    moved = await farshore("move", "main", "--to", "fra", *where, "--hold-dir", endpoints["holds"], within_seconds=600)
    assert moved.code == 0, (moved.out, moved.err)

    async def read_only() -> bool:
        url = f"{endpoints['sites']['nyc']['registry']}/v2/team/app/blobs/uploads/"
        async with aiohttp.ClientSession() as session, session.post(url) as answer:
            return answer.status == 405

    await wait_until(read_only, 30, "the old primary's registry to be a replica's")
    roles = {site: entry["role"] for site, entry in stack.endpoints["sites"].items()}
    assert roles == {"nyc": "replica", "fra": "primary", "syd": "replica"}
    assert await writers_at(stack, "fra") == [[stack.pid_of("registry-fra")]]
    pushed, _ = await push_image(stack, tools, tmp_path, "team/moved", "syd")
    assert await served_at(stack, "fra", pushed)
    await served_everywhere(stack, pushed)
    for site in ("nyc", "syd"):
        assert await served_at(stack, site, pushed, by="edge")


async def test_killing_up_leaves_nothing_behind_and_the_next_run_goes_on(
    stack: LocalStack, tools: Tools, tmp_path: Path
) -> None:
    pushed, _ = await push_image(stack, tools, tmp_path, "team/kept")
    await served_everywhere(stack, pushed)
    before = stack.endpoints
    pids = [process["pid"] for process in before["processes"]]
    pids += [worker for site in before["sites"] for worker in children(stack.pid_of(f"edge-{site}"))]
    stack.kill()
    await wait_until(lambda: not [pid for pid in pids if is_running(pid)], 20, "the end of every part")
    stack.start()
    assert without_processes(stack.endpoints) == without_processes(before)
    assert await served_at(stack, "fra", pushed)
    assert await served_at(stack, "nyc", pushed)
    assert stack.endpoints["sites"]["fra"]["role"] == "primary"  # where it was moved


def without_processes(endpoints: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in endpoints.items() if name != "processes"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
async def test_it_ends_in_order_and_starts_again(
    stack: LocalStack, tools: Tools, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    pids = [process["pid"] for process in stack.endpoints["processes"]]
    assert stack.stop(number) == code
    assert not [pid for pid in pids if is_running(pid)]
    assert not (stack.state_dir / "endpoints.json").exists()
    stack.start()
    await served_everywhere(stack, (await push_image(stack, tools, tmp_path, f"team/after-{number.name.lower()}")).push)
