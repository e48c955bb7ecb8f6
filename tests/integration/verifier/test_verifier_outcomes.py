"""What a site has to show, and what is said of it."""

import asyncio
import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from registry_process import blob_file, tag_link
from verifier_world import World, make_event
from waiting import wait_until

from farshore.bus.topics import ARRIVALS
from farshore.media_types import DOCKER_MANIFEST
from farshore.oci import Digest
from farshore.records.events import EventKind
from farshore.records.readiness import Readiness, ReadinessState
from farshore.registry import RegistryClient
from farshore_cli.tools.find import Tools

pytestmark = pytest.mark.integration

PUSHED = EventKind.MANIFEST_PUSHED
TRACE = "ab" * 16


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


async def test_an_arrival_that_is_there_is_ready_with_its_proof(world: World, unique: str) -> None:
    image = await world.push.image(unique, "v1", b"one layer", b"another")
    world.transfer("good")
    event = make_event(PUSHED, unique, id=unique, digest=image.digest, tag="v1")
    await world.arrivals.publish(event, ["good"], traceparent=f"00-{TRACE}-{'cd' * 8}-01")
    said = await world.readings.ended(unique, "good")
    assert said.state is ReadinessState.READY
    assert (said.level, said.digest, said.tag) == ("content", image.digest, "v1")
    assert said.bytes_verified > len(image.content)
    assert said.receipt
    assert (said.snapshot_version, said.transfer) == ("v-1", "t-1")
    record = next(r for r in world.readings.records if r.key == f"main/good/{unique}:v1".encode())
    assert dict(record.headers)["traceparent"].decode().split("-")[1] == TRACE


async def test_a_healthy_site_is_not_held_up_by_those_in_trouble(world: World, unique: str) -> None:
    repository = f"patient/{unique}"
    image = await world.push.image(repository, "v1", b"good")
    world.transfer("good")
    event = make_event(PUSHED, repository, id=unique, registry="patient", digest=image.digest, tag="v1")
    await world.arrivals.publish(event, ["dead", "silent", "good"])
    assert (await world.readings.ended(unique, "good")).state is ReadinessState.READY
    assert [one.site for one in world.readings.of(unique)] == ["good"], "the others aren't given up yet"


async def test_each_kind_of_trouble_has_its_own_answer(world: World, unique: str) -> None:
    images = {}
    for name in ("damaged", "truncated", "missing", "gone", "broken"):
        images[name] = await world.push.image(f"{unique}/{name}", "v1", f"{unique} {name}".encode() * 50)
    world.transfer("good", "bad")
    bad = world.folder / "bad"
    flip_a_bit(blob_file(bad, images["damaged"].layers[0]))
    truncated = blob_file(bad, images["truncated"].layers[0])
    truncated.write_bytes(truncated.read_bytes()[:-1])
    blob_file(bad, images["missing"].layers[0]).unlink()
    shutil.rmtree(bad / "docker/registry/v2/repositories" / unique / "gone")
    tag_link(bad, f"{unique}/broken", "v1").write_bytes(b"")
    for name, image in images.items():
        event = make_event(PUSHED, f"{unique}/{name}", id=f"{unique}-{name}", digest=image.digest, tag="v1")
        await world.arrivals.publish(event, ["dead", "silent", "bad", "good"])

    for name in images:
        assert (await world.readings.ended(f"{unique}-{name}", "good")).state is ReadinessState.READY

    expected = {
        ("damaged", "bad"): ReadinessState.CORRUPT,
        ("truncated", "bad"): ReadinessState.CORRUPT,
        ("missing", "bad"): ReadinessState.NOT_FOUND,
        ("gone", "bad"): ReadinessState.NOT_FOUND,
        ("broken", "bad"): ReadinessState.REGISTRY_ERROR,
        ("damaged", "dead"): ReadinessState.UNREACHABLE,
        ("damaged", "silent"): ReadinessState.TIMED_OUT,
    }
    found = {(name, site): (await world.readings.ended(f"{unique}-{name}", site)).state for name, site in expected}
    assert found == expected
    for (name, site), state in expected.items():
        letters = [
            dict(letter.headers)["farshore_reason"].decode()
            for letter in world.readings.dead_letters
            if dict(letter.headers).get("original_ce_id") == f"{unique}-{name}/{site}".encode()
        ]
        assert len(letters) == 1, f"{name} at {site} ({state})"
        assert letters[0] == world.readings.final(f"{unique}-{name}", site)[0].reason
    assert "CORRUPT: a site serves damaged content" in world.verifier.log


async def test_at_level_closure_sizes_are_proved_and_the_record_says_no_more(world: World, unique: str) -> None:
    repositories = {name: f"shallow/{unique}/{name}" for name in ("flipped", "truncated", "missing")}
    images = {
        name: await world.push.image(repository, "v1", repository.encode() * 50)
        for name, repository in repositories.items()
    }
    world.transfer("bad")
    files = {name: blob_file(world.folder / "bad", image.layers[0]) for name, image in images.items()}
    flip_a_bit(files["flipped"])
    files["truncated"].write_bytes(files["truncated"].read_bytes()[:-1])
    files["missing"].unlink()
    for name, image in images.items():
        event = make_event(
            PUSHED, repositories[name], id=f"{unique}{name}", registry="shallow", digest=image.digest, tag="v1"
        )
        await world.arrivals.publish(event, ["bad"])
    found = {name: await world.readings.ended(f"{unique}{name}", "bad") for name in images}
    assert {name: said.state for name, said in found.items()} == {
        "flipped": ReadinessState.READY,
        "truncated": ReadinessState.CORRUPT,
        "missing": ReadinessState.NOT_FOUND,
    }
    assert (found["flipped"].level, found["flipped"].bytes_verified) == ("closure", len(images["flipped"].content))


async def test_a_shared_layer_is_hashed_once_but_has_to_be_in_each_repository(world: World, unique: str) -> None:
    layer = random.Random(unique).randbytes(100_000)
    repositories = [f"{unique}/{number}" for number in range(3)]
    images = [await world.push.image(repository, "v1", layer) for repository in repositories]
    world.transfer("good")
    links = world.folder / "good/docker/registry/v2/repositories" / repositories[2] / "_layers/sha256"
    shutil.rmtree(links / images[2].layers[0].hex)
    said = []
    for repository, image in zip(repositories, images, strict=True):
        event = make_event(PUSHED, repository, id=repository, digest=image.digest, tag="v1")
        await world.arrivals.publish(event, ["good"])
        said.append(await world.readings.ended(repository, "good"))
    assert [each.state for each in said] == [ReadinessState.READY, ReadinessState.READY, ReadinessState.NOT_FOUND]
    assert said[0].bytes_verified > len(layer)
    assert said[1].bytes_verified < len(layer)
    assert said[0].receipt == said[1].receipt


async def test_what_skopeo_pushed_as_docker_schema_2_is_ready(world: World, tools: Tools, unique: str) -> None:
    await world.push.image(unique, "oci", b"content")
    host = world.primary.url.removeprefix("http://")
    skopeo = await asyncio.create_subprocess_exec(
        str(tools.skopeo),
        *("copy", "--quiet", "--format", "v2s2", "--src-tls-verify=false", "--dest-tls-verify=false"),
        *("--insecure-policy", f"docker://{host}/{unique}:oci", f"docker://{host}/{unique}:docker"),
    )
    assert await skopeo.wait() == 0
    async with RegistryClient(world.primary.url) as client:
        fetched = await client.manifest(unique, "docker")
    assert fetched.media_type == DOCKER_MANIFEST
    world.transfer("good")
    event = make_event(PUSHED, unique, id=unique, digest=Digest.of(fetched.content), tag="docker")
    await world.arrivals.publish(event, ["good"])
    assert (await world.readings.ended(unique, "good")).state is ReadinessState.READY


async def test_of_an_index_the_platforms_that_policy_asks_for_are_verified(world: World, unique: str) -> None:
    repository = f"plat/{unique}"
    amd = await world.push.image(repository, None, b"amd")
    arm = await world.push.image(repository, None, f"arm {unique}".encode())
    index = await world.push.index(
        repository,
        "v1",
        [
            amd.descriptor(platform={"os": "linux", "architecture": "amd64"}),
            arm.descriptor(platform={"os": "linux", "architecture": "arm64"}),
        ],
    )
    only_arm = await world.push.index(
        repository, "v2", [arm.descriptor(platform={"os": "linux", "architecture": "arm64"})]
    )
    world.transfer("good")
    blob_file(world.folder / "good", arm.layers[0]).unlink()
    for name, pushed in (("v1", index), ("v2", only_arm)):
        event = make_event(PUSHED, repository, id=f"{unique}{name}", registry="plat", digest=pushed.digest, tag=name)
        await world.arrivals.publish(event, ["good"])
    said = await world.readings.ended(f"{unique}v1", "good")
    assert (said.state, said.platforms) == (ReadinessState.READY, ["linux/amd64"])
    assert said.reason is not None
    assert arm.digest in said.reason
    refused = await world.readings.ended(f"{unique}v2", "good")
    assert refused.state is ReadinessState.NOT_FOUND
    assert "linux/amd64" in str(refused.reason)


async def test_an_artifact_with_a_subject_is_verified_without_it(world: World, unique: str) -> None:
    subject = await world.push.image(unique, "v1", b"subject")
    artifact = await world.push.image(unique, None, b"signature", more={"subject": subject.descriptor()})
    world.transfer("good")
    await world.arrivals.publish(make_event(PUSHED, unique, id=unique, digest=artifact.digest), ["good"])
    said = await world.readings.ended(unique, "good")
    assert said.state is ReadinessState.READY
    assert said.key == f"main/good/{unique}@{artifact.digest}"


async def test_what_no_record_could_hold_ends_as_well_and_holds_nobody_up(world: World, unique: str) -> None:
    """A platform that isn't Unicode, and a list of what is left out that is longer than a record may be."""
    repository = f"plat/{unique}"
    child = await world.push.image(repository, None, b"amd")
    on_amd = child.descriptor(platform={"os": "linux", "architecture": "amd64"})
    pushed = {
        "half": await world.push.index(
            repository, "half", [on_amd, child.descriptor(platform={"os": "lin\ud800ux", "architecture": "x"})]
        ),
        "many": await world.push.index(
            repository,
            "many",
            [on_amd, *[child.descriptor(platform={"os": "x", "architecture": str(n)}) for n in range(9_000)]],
        ),
        "good": await world.push.image(repository, "good", b"good"),
    }
    world.transfer("good")
    for tag, image in pushed.items():
        event = make_event(PUSHED, repository, id=f"{unique}{tag}", registry="plat", digest=image.digest, tag=tag)
        await world.arrivals.publish(event, ["good"])
    for tag in pushed:
        assert (await world.readings.ended(f"{unique}{tag}", "good")).state is ReadinessState.READY


async def test_a_header_without_value_stops_nobody(world: World, unique: str) -> None:
    image = await world.push.image(unique, "v1", b"behind it")
    world.transfer("good")
    await world.arrivals.producer.send_and_wait(ARRIVALS.name, b"{}", key=unique.encode(), headers=[("ce_site", None)])
    await world.arrivals.publish(make_event(PUSHED, unique, id=unique, digest=image.digest, tag="v1"), ["good"])
    assert (await world.readings.ended(unique, "good")).state is ReadinessState.READY


async def test_a_deleted_image_is_revoked_once_the_site_serves_it_no_more(world: World, unique: str) -> None:
    repository = f"team/{unique}"
    image = await world.push.image(repository, "v1", b"to be deleted")
    world.transfer("good")
    pushed = make_event(PUSHED, repository, id=f"{unique}1", registry="team", digest=image.digest, tag="v1")
    await world.arrivals.publish(pushed, ["good"])
    assert (await world.readings.ended(f"{unique}1", "good")).state is ReadinessState.READY
    await world.push.delete(repository, image.digest)
    for event in (
        make_event(EventKind.MANIFEST_DELETED, repository, id=f"{unique}2", registry="team", digest=image.digest),
        make_event(EventKind.TAG_DELETED, repository, id=f"{unique}3", registry="team", tag="v1"),
    ):
        await world.arrivals.publish(event, ["good"])
    await wait_until(
        lambda: [e for e in world.readings.events if e.id == f"{unique}2/dirty/good"], 30, "a request for a snapshot"
    )
    assert not world.readings.final(f"{unique}2", "good"), "revoked while it was still served"
    world.transfer("good")
    assert (await world.readings.ended(f"{unique}2", "good")).state is ReadinessState.REVOKED
    assert (await world.readings.ended(f"{unique}3", "good")).state is ReadinessState.REVOKED


async def test_an_older_arrival_that_comes_after_its_newer_one_is_not_the_last_word(world: World, unique: str) -> None:
    older = await world.push.image(unique, "v1", b"older")
    newer = await world.push.image(unique, "v1", b"newer")
    world.transfer("good")
    old = make_event(PUSHED, unique, id=f"{unique}-old", digest=older.digest, tag="v1")
    new = make_event(PUSHED, unique, id=f"{unique}-new", digest=newer.digest, tag="v1")
    generation = await world.arrivals.publish(old, [])
    await world.arrivals.publish(new, ["good"])
    assert (await world.readings.ended(new.id, "good")).state is ReadinessState.READY
    await (await world.arrivals.send(old, "good", generation))
    after = make_event(PUSHED, unique, id=f"{unique}-after", digest=newer.digest, tag="v1")
    await world.arrivals.publish(after, ["good"])  # of the same partition: the older one was read before it
    assert (await world.readings.ended(after.id, "good")).state is ReadinessState.READY
    assert world.readings.of(old.id) == []


async def test_a_tag_that_moved_on_ends_superseded_and_the_last_word_is_the_newest(world: World, unique: str) -> None:
    pushes = [await world.push.image(unique, "v1", f"{unique} {number}".encode()) for number in range(5)]
    world.transfer("good")
    for number, image in enumerate(pushes):
        event = make_event(PUSHED, unique, id=f"{unique}{number}", digest=image.digest, tag="v1")
        await world.arrivals.publish(event, ["good"])
    states = [(await world.readings.ended(f"{unique}{number}", "good")).state for number in range(5)]
    assert states == [ReadinessState.SUPERSEDED] * 4 + [ReadinessState.READY]
    of_key = [r.event_id for r in world.readings.readiness if r.key == f"main/good/{unique}:v1"]
    assert of_key == [f"{unique}{number}" for number in range(5)]


async def test_a_lagging_tag_asks_for_a_snapshot_and_becomes_ready_with_it(world: World, unique: str) -> None:
    repository = f"team/{unique}"
    await world.push.image(repository, "v1", b"old")
    world.transfer("good")
    image = await world.push.image(repository, "v1", b"new")
    event = make_event(PUSHED, repository, id=unique, registry="team", digest=image.digest, tag="v1")
    await world.arrivals.publish(event, ["good"])
    [dirty] = await wait_until(
        lambda: [e for e in world.readings.events if e.id.startswith(unique)], 30, "a request for a snapshot"
    )
    assert (dirty.kind, dirty.registry, dirty.id) == (EventKind.VOLUME_DIRTY, "team", f"{unique}/dirty/good")
    assert not world.readings.of(unique)
    world.transfer("good")
    await world.arrivals.publish(dirty, ["good"])
    assert (await world.readings.ended(unique, "good")).state is ReadinessState.READY
    assert len([e for e in world.readings.events if e.id.startswith(unique)]) == 1


async def test_a_missed_objective_is_said_once_and_the_end_later(world: World, unique: str) -> None:
    repository = f"prompt/{unique}"
    image = await world.push.image(repository, "v1", b"late")
    event = make_event(
        PUSHED,
        repository,
        id=unique,
        registry="prompt",
        digest=image.digest,
        tag="v1",
        accepted_at=datetime.now(UTC) - timedelta(hours=1),
    )
    await world.arrivals.publish(event, ["bad"])
    await wait_until(lambda: world.readings.of(unique), 20, "late")
    world.transfer("bad")
    assert (await world.readings.ended(unique, "bad")).state is ReadinessState.READY
    assert [r.state for r in world.readings.of(unique, "bad")] == [ReadinessState.LATE, ReadinessState.READY]


async def test_ready_at_every_site_is_said_once(world: World, unique: str) -> None:
    repository = f"team/{unique}"
    image = await world.push.image(repository, "v1", b"everywhere")
    world.transfer("good", "bad")
    event = make_event(PUSHED, repository, id=unique, registry="team", digest=image.digest, tag="v1")
    generation = await world.arrivals.publish(event, ["good"])
    await world.readings.ended(unique, "good")
    assert not world.readings.of(unique, "*")
    await world.arrivals.send(event, "bad", generation)
    said = await world.readings.ended(unique, "*")
    assert (said.state, said.sites) == (ReadinessState.READY_EVERYWHERE, ["bad", "good"])
    assert said.key == f"team/*/{repository}:v1"


async def test_what_every_site_stopped_serving_is_not_ready_everywhere_any_more(world: World, unique: str) -> None:
    repository = f"team/{unique}"
    image = await world.push.image(repository, "v1", b"everywhere, for a while")
    world.transfer("good", "bad")
    event = make_event(PUSHED, repository, id=f"{unique}1", registry="team", digest=image.digest, tag="v1")
    await world.arrivals.publish(event, ["good", "bad"])
    assert (await world.readings.ended(f"{unique}1", "*")).state is ReadinessState.READY_EVERYWHERE
    await world.push.delete(repository, image.digest)
    world.transfer("good", "bad")
    deleted = make_event(EventKind.TAG_DELETED, repository, id=f"{unique}2", registry="team", tag="v1")
    await world.arrivals.publish(deleted, ["good", "bad"])
    said = await world.readings.ended(f"{unique}2", "*")
    assert (said.state, said.sites, said.key) == (ReadinessState.REVOKED, ["bad", "good"], f"team/*/{repository}:v1")


async def test_an_arrival_that_is_sent_back_is_decided_again(world: World, unique: str) -> None:
    image = await world.push.image(unique, "v1", b"again")
    world.transfer("good")
    event = make_event(PUSHED, unique, id=unique, digest=image.digest, tag="v1")
    generation = await world.arrivals.publish(event, ["good"])
    await world.readings.ended(unique, "good")
    await world.arrivals.send(event, "good", generation)
    await wait_until(lambda: len(world.readings.final(unique, "good")) == 2, 20, "the second answer")


async def test_what_is_no_arrival_or_of_no_known_registry_or_site_goes_to_the_dead_letters(
    world: World, unique: str
) -> None:
    image = await world.push.image(unique, "v1", b"stray")
    world.transfer("good")
    strange = make_event(PUSHED, unique, id=f"{unique}1", registry="nobody", digest=image.digest, tag="v1")
    await world.arrivals.publish(strange, ["good", "atlantis"])
    await world.arrivals.producer.send_and_wait("farshore.arrivals", b"{", key=unique.encode())

    def codes() -> list[bytes]:
        return sorted(
            dict(letter.headers)["farshore_code"]
            for letter in world.readings.dead_letters
            if letter.key == unique.encode()
        )

    await wait_until(lambda: len(codes()) >= 3, 20, "three dead letters")
    assert codes() == [b"malformed", b"unknown-registry", b"unknown-registry"]


async def test_a_record_too_large_for_a_dead_letter_is_kept_in_part_and_stops_nobody(world: World, unique: str) -> None:
    image = await world.push.image(unique, "v1", b"behind it")
    world.transfer("good")
    await world.arrivals.producer.send_and_wait(ARRIVALS.name, b"{" + b" " * 900_000, key=unique.encode())
    await world.arrivals.publish(make_event(PUSHED, unique, id=unique, digest=image.digest, tag="v1"), ["good"])
    assert (await world.readings.ended(unique, "good")).state is ReadinessState.READY
    (letter,) = [letter for letter in world.readings.dead_letters if letter.key == unique.encode()]
    headers = dict(letter.headers)
    assert (headers["farshore_code"], headers["farshore_cut"]) == (b"too-large", b"true")


async def test_content_is_proved_on_the_volume_and_nothing_is_while_it_is_not_mounted(
    world: World, unique: str
) -> None:
    repository, volume = f"mounted/{unique}", world.folder / "volume"
    image = await world.push.image(repository, "v1", b"layer" * 1000)

    async def said_of(kind: EventKind, digest: Digest, tag: str | None, name: str) -> Readiness:
        event = make_event(kind, repository, id=f"{unique}-{name}", registry="mounted", digest=digest, tag=tag)
        await world.arrivals.publish(event, ["volume"])
        return await world.readings.ended(event.id, "volume")

    async def pushed(name: str) -> Readiness:
        return await said_of(PUSHED, image.digest, "v1", name)

    volume.mkdir()
    while_empty = await asyncio.gather(
        pushed("empty"), said_of(EventKind.MANIFEST_DELETED, image.digest, None, "not-gone")
    )
    assert [said.state for said in while_empty] == [ReadinessState.UNREACHABLE] * 2
    volume.rmdir()
    world.transfer("volume")
    proved = await pushed("there")
    assert proved.state is ReadinessState.READY
    assert proved.bytes_verified > len(image.content)
    other = await world.push.image(repository, "v2", unique.encode())
    world.transfer("volume")
    blob = blob_file(volume, other.layers[0])
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    assert (await said_of(PUSHED, other.digest, "v2", "damaged")).state is ReadinessState.CORRUPT
    await world.push.delete(repository, image.digest)
    world.transfer("volume")
    assert (await said_of(EventKind.MANIFEST_DELETED, image.digest, None, "gone")).state is ReadinessState.REVOKED
    volume.unlink()
