"""A site is mended, its dead letters are sent back, and the verifier decides again."""

from pathlib import Path

import pytest
from aiokafka import ConsumerRecord
from farshore_command import farshore
from registry_process import blob_file
from verifier_world import World, make_event
from waiting import wait_until

from farshore.records.events import EventKind
from farshore.records.readiness import ReadinessState
from farshore_cli.tools.kafka import Broker

pytestmark = pytest.mark.integration


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


async def test_a_damaged_image_that_was_mended_becomes_ready_exactly_once(
    world: World, own_broker: Broker, unique: str
) -> None:
    image = await world.push.image(unique, "v1", unique.encode() * 100)
    world.transfer("good", "bad")
    blob = blob_file(world.folder / "bad", image.layers[0])
    damage(blob)
    event = make_event(EventKind.MANIFEST_PUSHED, unique, id=unique, digest=image.digest, tag="v1")
    await world.arrivals.publish(event, ["good", "bad"])
    assert (await world.readings.ended(unique, "bad")).state is ReadinessState.CORRUPT

    def letters() -> "list[ConsumerRecord[bytes, bytes]]":
        wanted = f"{unique}/bad".encode()
        return [one for one in world.readings.dead_letters if dict(one.headers).get("original_ce_id") == wanted]

    (letter,) = await wait_until(letters, 20, "the dead letter")
    damage(blob)  # the same bit again
    command = ("deadletter", "redrive", str(letter.offset), "--yes", "--kafka", own_broker.bootstrap)
    done = await farshore(*command)
    assert done.code == 0, done

    def ready() -> int:
        return sum(one.state is ReadinessState.READY for one in world.readings.final(unique, "bad"))

    await wait_until(ready, 40, "readiness")
    again = await farshore(*command)
    assert (again.code, "1 sent back before" in again.out) == (0, True)

    follower = f"{unique}-after"  # once this one is decided, whatever the second redrive had sent would be too
    after = make_event(EventKind.MANIFEST_PUSHED, unique, id=follower, digest=image.digest, tag="v1")
    await world.arrivals.publish(after, ["bad"])
    assert (await world.readings.ended(follower, "bad")).state is ReadinessState.READY
    assert ready() == 1
    assert len(letters()) == 1
