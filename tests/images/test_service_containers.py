"""compose/services.yaml with .env.example, as docs/install.md says, with a Kafka and clusters of one's own."""

import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from authorities import Authority
from compose_project import ComposeProject, typed
from container_images import Images
from documents import ROOT
from stand_ins import build_stand_in

from farshore.oci import Repository, Tag
from farshore_cli.demo.oci_layout import LayoutWriter
from farshore_cli.demo.scenario import Push
from farshore_cli.demo.skopeo import Skopeo
from farshore_cli.stack.registry_config import NotificationTarget, registry_config
from farshore_cli.tools.find import find_tools
from farshore_cli.tools.ports import free_ports

pytestmark = [pytest.mark.slow, pytest.mark.end_to_end, pytest.mark.timeout(1_500)]

OWN_PARTS = Path(__file__).with_name("own_parts.yaml")
SERVICES = ("receiver", "coalescer", "verifier", "reconciler")
KAFKA_PASSWORD, ONTAP_PASSWORD, TOKEN = "of-kafka", "of-ontap", "of-notifications"
KAFKA_USER = (
    *("/opt/kafka/bin/kafka-configs.sh", "--bootstrap-server=localhost:9092", "--alter", "--entity-type=users"),
    *("--entity-name=farshore", f"--add-config=SCRAM-SHA-512=[password={KAFKA_PASSWORD}]"),
)
TOPOLOGY = """
version: 1
sites:
  nyc:
    model: on-prem
    ontap: {url: "http://ontap-nyc:8080", username: admin, password: "file:/etc/farshore/secrets/ontap", svm: svm_nyc}
  fra:
    model: cloud
    ontap: {url: "http://ontap-fra:8080", username: admin, password: "file:/etc/farshore/secrets/ontap", svm: svm_fra}
registries:
  main:
    primary: {site: nyc, volume: registry_main, url: "http://registry-nyc:5000"}
    replicas:
      - {site: fra, volume: registry_main, url: "http://registry-fra:5000"}
    notifications: {tokens: ["file:/etc/farshore/secrets/notifications"]}
"""


def write_own(folder: Path) -> None:
    """What `own_parts.yaml` mounts; `etc` becomes /etc/farshore, for user 65532 alone."""
    for name in ("kafka", "registries", "etc/secrets"):
        (folder / name).mkdir(parents=True)
    authority = Authority(folder / "kafka")
    broker = authority.issue("broker", "kafka-0.example", "kafka-1.example", "kafka-2.example")
    broker.together.rename(folder / "kafka" / "broker.pem")
    for file in (folder / "kafka").iterdir():
        os.chown(file, 1000, 1000)
    etc = folder / "etc"
    shutil.copy(authority.ca_file, etc / "kafka-ca.pem")
    (etc / "topology.yaml").write_text(TOPOLOGY)
    for name, secret in (("kafka", KAFKA_PASSWORD), ("ontap", ONTAP_PASSWORD), ("notifications", TOKEN)):
        (etc / "secrets" / name).write_text(secret)
    for place in (etc, *etc.rglob("*")):
        os.chown(place, 65532, 65532)
        place.chmod(0o500 if place.is_dir() else 0o400)
    target = NotificationTarget("http://receiver:8080/v1/notifications/main", TOKEN)
    for site, notify in (("nyc", target), ("fra", None)):
        root = Path(f"/data/{site}/export/svm_{site}/registry_main")
        config = registry_config(root, ":5000", "http-secret", read_only=notify is None, notify=notify)
        (folder / "registries" / f"{site}.yaml").write_text(config)


def copy_compose(folder: Path, receiver: str, etc: Path) -> Path:
    """`cp compose/.env.example compose/.env`, and what this place has otherwise than the example."""
    folder.mkdir()
    shutil.copy(ROOT / "compose" / "services.yaml", folder)
    text = (ROOT / "compose" / ".env.example").read_text()
    for name, value in (("ETC", etc), ("RECEIVER_PORT", receiver), ("KAFKA_REPLICATION", "1")):
        text, changed = re.subn(rf"(?m)^(FARSHORE_{name})=.*$", rf"\1={value}", text)
        assert changed == 1, name
    (folder / ".env").write_text(text)
    return folder / "services.yaml"


@pytest_asyncio.fixture
async def project(images: Images, tmp_path: Path) -> AsyncIterator[ComposeProject]:
    """The services' images, and the user's own parts: Kafka and the clusters, in service. Gone behind the test."""
    receiver, registry = free_ports(2)
    write_own(tmp_path / "own")
    file = copy_compose(tmp_path / "compose", f"127.0.0.1:{receiver}", tmp_path / "own" / "etc")
    project = ComposeProject(
        images,
        tmp_path,
        (file, OWN_PARTS),
        f"farshore-test-{os.getpid()}-services",
        {"OWN": str(tmp_path / "own"), "OWN_REGISTRY": str(registry)},
    )
    for target in (*SERVICES, "cli", "ontap-simulator"):
        images.tag(target, f"farshore/farshore-{target}:0.1.0")
    for part in ("kafka", "registry-nyc"):
        build_stand_in(images, project.services[part]["image"])
    try:
        await project.up(("kafka", "ontap-nyc", "ontap-fra"))
        user = await project.compose("exec", "-T", "kafka", *KAFKA_USER)
        assert user.code == 0, user.err
        yield project
    finally:
        await project.remove()


async def cli(project: ComposeProject, *arguments: str) -> str:
    """What `docker compose --profile tools run --rm cli …` says."""
    run, *words = typed("services.yaml", "run --rm cli")[:3]
    answer = await project.compose("--profile=tools", run, "-T", *words, *arguments)
    assert answer.code == 0, answer.out + answer.err
    return answer.out


async def test_the_services_work_with_a_kafka_and_clusters_of_ones_own(project: ComposeProject, tmp_path: Path) -> None:
    await cli(project, "apply", "/etc/farshore/topology.yaml", "--within", "10m")
    await project.up(("registry-nyc", "registry-fra"))
    await project.up(SERVICES)

    told = await cli(project, *typed("services.yaml", "run --rm cli")[3:])
    assert "kafka" in told.lower()
    port = (await project.podman("port", (await project.ids())["receiver"], "8080/tcp")).out.strip()
    url = f"http://{port}/v1/notifications/main"
    async with aiohttp.ClientSession() as session, session.post(url, data=b"{}") as answer:
        assert answer.status == 401

    writer = LayoutWriter(tmp_path / "image")
    image = writer.image([writer.layer(os.urandom(300_000))])
    writer.name(image, "it")
    pushed = Push(Repository.parse("team/app"), Tag.parse("1"), image.digest, "it")
    await Skopeo(find_tools().skopeo).push(writer.folder, pushed, f"http://127.0.0.1:{project.environ['OWN_REGISTRY']}")
    assert "fra: ready" in await cli(project, "wait", pushed.reference)

    exit_codes = await project.stop()
    assert {name: exit_codes[name] for name in SERVICES} == dict.fromkeys(SERVICES, 0)
    down = await project.compose("down", "--volumes")
    assert down.code == 0, down.err
    assert await project.left() == ""
