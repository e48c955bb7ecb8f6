"""The images run as an installation should run them: they become healthy, take little, and stop cleanly."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import pytest_asyncio
import receiver_load
from container_images import Container, Figures, Images
from receiver_process import TOKEN
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.topics import create_missing_topics
from farshore_cli.stack.probes import http_answers
from farshore_cli.tools.ports import free_port, free_ports

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(1_500)]

RECEIVER_MEMORY_BYTES = 150 * 1024 * 1024
NOTIFICATIONS = 2_000
SERVICES = ("receiver", "coalescer", "verifier", "reconciler")
SIMULATOR_PASSWORD = "the-password"
TOPOLOGY = """
version: 1
sites:
  nyc:
    model: on-prem
    ontap: {{url: 'http://127.0.0.1:{ontap}', username: admin, password: 'env:ONTAP', svm: svm_nyc}}
    edge: {{url: 'http://127.0.0.1:{edge}', listen: '127.0.0.1:{edge}'}}
registries:
  main:
    primary: {{site: nyc, volume: registry_main, url: 'http://127.0.0.1:{registry}'}}
    notifications: {{tokens: ['env:TOKEN']}}
"""

Start = Callable[..., Container]


@pytest.fixture
def start(images: Images, containers: list[Container], mounted: Path) -> Start:
    """Start a container with the topology's folder in it; it is gone behind the test."""

    def started(target: str, *arguments: str, environ: Mapping[str, str], options: tuple[str, ...] = ()) -> Container:
        options = (f"--volume={mounted}:/etc/farshore:ro", *options)
        containers.append(images.start(target, *arguments, environ=environ, options=options))
        return containers[-1]

    return started


@pytest_asyncio.fixture
async def topology(start: Start, mounted: Path, tmp_path: Path) -> Path:
    """A site whose cluster is the simulator's image; its edge and its registry are where nothing listens."""
    ontap, edge, registry, intercluster = free_ports(4)
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, 65532, 65532)
    environ = {
        "FARSHORE_SIM_NAME": "nyc",
        "FARSHORE_SIM_STATE_DIR": "/state",
        "FARSHORE_SIM_LISTEN": f"127.0.0.1:{ontap}",
        "FARSHORE_SIM_INTERCLUSTER": f"127.0.0.1:{intercluster}",
        "FARSHORE_SIM_SVM": "svm_nyc",
        "FARSHORE_SIM_VOLUME": "registry_main",
        "FARSHORE_SIM_PASSWORD": SIMULATOR_PASSWORD,
    }
    simulator = start("ontap-simulator", environ=environ, options=(f"--volume={state}:/state",))
    await wait_until(simulator.healthy, 60, f"the simulator: {simulator.log()}")
    file = mounted / "topology.yaml"
    file.write_text(TOPOLOGY.format(ontap=ontap, edge=edge, registry=registry))
    return file


def settings(bootstrap: str, listen: str) -> dict[str, str]:
    return {
        "FARSHORE_TOPOLOGY": "/etc/farshore/topology.yaml",
        "FARSHORE_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "FARSHORE_LISTEN": listen,
        "TOKEN": f"{TOKEN}-main",
        "ONTAP": SIMULATOR_PASSWORD,
    }


async def becomes_ready(container: Container, url: str, name: str, figures: Figures, began: float) -> None:
    """Wait for liveness and readiness, and write down when they came, by podman's command line."""
    for path in ("livez", "readyz"):
        try:
            await wait_until(http_answers(f"{url}/{path}"), 120, f"{name} to answer /{path}")
        except AssertionError as error:
            raise AssertionError(f"{error}: {container.log()}") from None
        figures.setdefault(name, {})[f"seconds_to_{path}"] = round(time.monotonic() - began, 2)
    figures[name]["cpu_seconds_to_readyz"] = container.cpu_seconds()


@pytest.mark.parametrize("target", SERVICES)
async def test_a_service_becomes_healthy_and_ends_cleanly(
    images: Images, start: Start, topology: Path, kafka_bootstrap: str, figures: Figures, target: str
) -> None:
    await create_missing_topics(Bus(kafka_bootstrap))
    public, management = free_ports(2)
    environ = settings(kafka_bootstrap, f"127.0.0.1:{public}")
    if target == "receiver":
        environ["FARSHORE_RECEIVER_MANAGEMENT_LISTEN"] = f"127.0.0.1:{management}"
    images.build(target)
    began = time.monotonic()
    container = start(target, environ=environ)
    url = f"http://127.0.0.1:{management if target == 'receiver' else public}"
    await becomes_ready(container, url, target, figures, began)
    assert container.healthy()
    if target == "receiver":
        await receiver_load.rate(public, list(receiver_load.requests(NOTIFICATIONS)), connections=8)
        assert container.peak_memory_bytes() < RECEIVER_MEMORY_BYTES
    figures[target]["peak_memory_bytes"] = container.peak_memory_bytes()
    assert container.stop() == 0


async def test_nginx_and_its_agent_run_beside_each_other(
    images: Images, start: Start, topology: Path, figures: Figures, tmp_path: Path
) -> None:
    shared = tmp_path / "run"
    shared.mkdir()
    os.chown(shared, 65532, 65532)
    options = (f"--volume={shared}:/run/farshore",)
    rendered = images.run(
        "edge",
        *("farshore-edge", "render", "--site=nyc", "--topology=/etc/farshore/topology.yaml"),
        *("--output=/run/farshore/nginx.conf", "--pid-file=/run/farshore/nginx.pid", "--temp-dir=/tmp"),
        options=[*options, f"--volume={topology.parent}:/etc/farshore:ro"],
    )
    assert rendered.code == 0, rendered.err
    nginx = start("edge", "nginx", "-e", "stderr", "-c", "/run/farshore/nginx.conf", environ={}, options=options)
    listen, inner = free_ports(2)
    environ = {
        "FARSHORE_TOPOLOGY": "/etc/farshore/topology.yaml",
        "FARSHORE_LISTEN": f"127.0.0.1:{listen}",
        "FARSHORE_EDGE_SITE": "nyc",
        "FARSHORE_EDGE_CONFIG": "/run/farshore/nginx.conf",
        "FARSHORE_EDGE_PID_FILE": "/run/farshore/nginx.pid",
        "FARSHORE_EDGE_TEMP_DIR": "/tmp",  # noqa: S108 - in the container
        "FARSHORE_EDGE_AGENT_LISTEN": f"127.0.0.1:{inner}",
    }
    began = time.monotonic()
    agent = start("edge", environ=environ, options=(*options, f"--pid=container:{nginx.id}"))
    # ready once nginx runs rules that the agent wrote, so its signal has reached the other container
    await becomes_ready(agent, f"http://127.0.0.1:{listen}", "edge", figures, began)
    assert agent.healthy()
    figures["edge"]["peak_memory_bytes"] = agent.peak_memory_bytes()
    assert agent.stop() == 0
    assert nginx.stop() == 0


@pytest.mark.parametrize("target", [*SERVICES, "edge"])
def test_a_missing_setting_ends_it_with_78_and_one_line(images: Images, figures: Figures, target: str) -> None:
    images.build(target)
    began = time.monotonic()
    answer = images.run(target)
    figures.setdefault(target, {})["seconds_to_exit_78"] = round(time.monotonic() - began, 2)
    assert answer.code == 78, answer.err
    (line,) = answer.err.splitlines()
    assert line.startswith(f"farshore-{target}: ")
    assert "FARSHORE_TOPOLOGY" in line


def test_the_command_line_checks_a_topology(images: Images, mounted: Path) -> None:
    port = free_port()
    (mounted / "topology.yaml").write_text(TOPOLOGY.format(ontap=port, edge=port, registry=port))
    version = images.run("cli", "--version")
    assert (version.code, version.out.split()[0]) == (0, "farshore"), version.err
    options = [f"--volume={mounted}:/etc/farshore:ro"]
    checked = images.run("cli", "check", "/etc/farshore/topology.yaml", options=options)
    assert checked.code == 0, checked.err
    assert "registries: main" in checked.out
