"""A changed topology file is taken up while a service runs; one that can't be used, or isn't finished, is not."""

import asyncio
from pathlib import Path

import pytest
from receiver_topology import topology_text
from waiting import wait_until

from farshore.follow_topology import follow_topology
from farshore.service import Service, Settings
from farshore.topology import load_topology
from farshore.topology.watch import TopologyWatch

LOOK = 0.005


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


async def looked_at(watch: TopologyWatch, content: str) -> None:
    await wait_until(lambda: watch.read == content.encode(), 10, "a look at it")


async def test_another_registry_in_the_file_is_noticed(file: Path) -> None:
    watch = TopologyWatch(file, load_topology(file), look_seconds=LOOK)
    write(file, "main", "other")
    assert set((await watch.changed()).registries) == {"main", "other"}
    write(file, "third")
    assert set((await watch.changed()).registries) == {"third"}


async def test_what_says_the_same_what_is_wrong_and_what_is_gone_change_nothing(file: Path) -> None:
    watch = TopologyWatch(file, load_topology(file), look_seconds=LOOK)
    changed = asyncio.create_task(watch.changed())
    same = topology_text({"main": ""})
    for content in ("# a comment\n" + same, "version: 1\nsites: {", "", same):
        put(file, content)
        await looked_at(watch, content)
    put(file, None)
    await asyncio.sleep(0)
    assert not changed.done()
    write(file, "other")
    assert set((await changed).registries) == {"other"}


async def test_a_file_that_differs_from_look_to_look_is_not_taken_up_yet(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = topology_text({"main": "", "other": "other/", "third": "third/"})
    unfinished = topology_text({"main": "", "other": "other/"})  # valid, and not what its author means
    seen = iter([unfinished, unfinished + "#", unfinished + "##", whole])

    def look(_watch: TopologyWatch) -> bytes:
        text = next(seen, whole)
        file.write_text(text)
        return text.encode()

    monkeypatch.setattr(TopologyWatch, "_content", look)
    watch = TopologyWatch(file, load_topology(file), look_seconds=0)
    assert set((await watch.changed()).registries) == {"main", "other", "third"}


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

    following = asyncio.create_task(follow_topology(service, work, look_seconds=LOOK))
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
        await follow_topology(service, work, look_seconds=LOOK)
