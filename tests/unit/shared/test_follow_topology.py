"""A changed topology file is taken up while a service runs; one that can't be used, or isn't finished, is not."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from receiver_topology import topology_text
from waiting import wait_until

from farshore.errors import ConfigurationError
from farshore.follow_topology import follow_topology
from farshore.service import Service, Settings
from farshore.topology import Topology, load_topology
from farshore.topology.watch import TopologyWatch

LOOK = 0.005


def everything(_topology: Topology) -> None:
    """Accept it."""


def nothing(_topology: Topology) -> None:
    raise ConfigurationError("accept", "a topology", "no other is accepted")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "topology.yaml"
    path.write_text(topology_text({"main": ""}))
    return path


def put(file: Path, content: str | None) -> None:
    if content is None:
        file.unlink()
    else:
        file.write_text(content)


def write(file: Path, *names: str) -> None:
    put(file, topology_text({name: f"{name}/" for name in names}))


def settle(watch: TopologyWatch) -> set[str] | None:
    """The registries that two looks find, None where they find no other topology."""
    assert watch.look() is None
    found = watch.look()
    return set(found.registries) if found else None


def refused() -> float | None:
    return REGISTRY.get_sample_value("farshore_topology_refused")


def test_another_registry_in_the_file_is_noticed(file: Path) -> None:
    watch = TopologyWatch(file, everything)
    write(file, "main", "other")
    assert settle(watch) == {"main", "other"}
    write(file, "third")
    assert settle(watch) == {"third"}
    assert set(watch.topology.registries) == {"third"}


def test_what_says_the_same_changes_nothing(file: Path) -> None:
    watch = TopologyWatch(file, nothing)
    put(file, "# a comment\n" + topology_text({"main": ""}))
    assert settle(watch) is None
    assert watch.refusal is None


@pytest.mark.parametrize("content", ["version: 1\nsites: {", "", None])
def test_what_is_wrong_or_gone_is_told_and_changes_nothing(
    file: Path, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    watch = TopologyWatch(file, everything)
    put(file, content)
    assert settle(watch) is settle(watch) is None
    assert watch.refusal is not None
    assert str(file) in watch.refusal
    assert refused() == 1
    assert [record.message for record in caplog.records].count("topology refused, the old one stays in force") == 1
    write(file, "other")
    assert settle(watch) == {"other"}
    assert watch.refusal is None
    assert refused() == 0


def test_a_topology_that_is_not_accepted_is_taken_up_once_it_is(file: Path) -> None:
    secrets: set[str] = set()

    def secrets_are_there(topology: Topology) -> None:
        for name in topology.registries.keys() - secrets:
            raise ConfigurationError("read secret", name, "it is not there")

    watch = TopologyWatch(file, secrets_are_there)
    write(file, "other")
    assert settle(watch) is settle(watch) is None
    assert watch.refusal == "read secret other: it is not there"
    assert refused() == 1
    assert set(watch.topology.registries) == {"main"}
    secrets.add("other")
    found = watch.look()
    assert found is not None
    assert set(found.registries) == {"other"}
    assert watch.refusal is None
    assert refused() == 0
    assert watch.look() is None


def test_what_the_file_said_before_is_accepted_without_a_question(file: Path) -> None:
    watch = TopologyWatch(file, nothing)
    write(file, "other")
    assert settle(watch) is None
    assert watch.refusal is not None
    put(file, topology_text({"main": ""}))
    assert settle(watch) is None
    assert watch.refusal is None


def test_a_file_that_differs_from_look_to_look_is_not_taken_up_yet(file: Path) -> None:
    watch = TopologyWatch(file, everything)
    whole = topology_text({"main": "", "other": "other/", "third": "third/"})
    unfinished = topology_text({"main": "", "other": "other/"})  # valid, and not what its author means
    for content in (unfinished, unfinished + "#", unfinished + "##", whole):
        put(file, content)
        assert watch.look() is None
    found = watch.look()
    assert found is not None
    assert set(found.registries) == {"main", "other", "third"}


async def test_work_begins_anew_with_each_topology_and_ends_with_the_service(file: Path) -> None:
    settings = Settings(topology=file, kafka_bootstrap_servers="127.0.0.1:9")
    service = Service("test", settings, load_topology(file))
    begun: list[set[str]] = []
    ended = 0

    async def work(ending: asyncio.Event) -> None:
        nonlocal ended
        begun.append(set(service.topology.registries))
        service.ready = True
        await ending.wait()
        ended += 1

    following = asyncio.create_task(follow_topology(service, work, needs=everything, look_seconds=LOOK))
    await wait_until(lambda: len(begun) == 1, 10, "the work's begin")
    write(file, "other")
    await wait_until(lambda: len(begun) == 2, 10, "the work's second begin")
    service.stopping.set()
    await following
    assert begun == [{"main"}, {"other"}]
    assert ended == 2


async def test_a_failure_of_the_work_is_the_service_s(file: Path) -> None:
    service = Service("test", Settings(topology=file, kafka_bootstrap_servers="127.0.0.1:9"), load_topology(file))

    async def work(_ending: asyncio.Event) -> None:
        raise OSError("it failed")

    with pytest.raises(OSError, match="it failed"):
        await follow_topology(service, work, needs=everything, look_seconds=LOOK)


async def test_work_that_ends_though_nobody_asked_is_a_failure(file: Path) -> None:
    """The service would go on answering that it is alive, and ready, and do nothing."""
    service = Service("test", Settings(topology=file, kafka_bootstrap_servers="127.0.0.1:9"), load_topology(file))

    async def work(_ending: asyncio.Event) -> None:
        return

    with pytest.raises(RuntimeError, match="nobody asked for that"):
        await follow_topology(service, work, needs=everything, look_seconds=LOOK)
