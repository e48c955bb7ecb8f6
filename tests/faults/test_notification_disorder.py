"""Notifications twice, late and in the wrong order, and clocks that step: nothing is lost or said twice, and nothing
is called ready that isn't there.

In short with `make test`; `make faults` adds rounds in a random order, see docs/faults.md.
"""

import asyncio
import json
import os
import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fault_report import FaultReport
from fault_run import FaultRun, Verdict
from local_stack import LocalStack, kill
from notification_tap import Envelope, NotificationTap, give_up_after, notification_tap
from registry_process import Image
from waiting import wait_until
from wall_clock import WallClock

from farshore.records.readiness import ReadinessState
from farshore_cli.tools.find import Tools

pytestmark = [pytest.mark.faults, pytest.mark.end_to_end, pytest.mark.slow]

SEED = int(os.environ.get("FARSHORE_FAULT_SEED", "20261124"))
ROUNDS = int(os.environ.get("FARSHORE_FAULT_ROUNDS", "0"))
SITES = ("fra", "syd")
STRANGERS = ("v3-04-retag-other-digest", "v2-01-push-image-crane", "v3-13-manifest-delete-tagged")
CAPTURED = Path(__file__).parents[1] / "payloads"
STEPS = (3 * 3600, -3 * 3600, 2 * 86_400, -2 * 86_400)
"""How far wall clocks are off, in seconds."""
NOT_THERE = {ReadinessState.NOT_FOUND}
"""How an old push behind a newer one of its tag, and a push of what was deleted before, may end."""
STILL_THERE = {ReadinessState.REGISTRY_ERROR}
"""How a deletion of a tag may end that is told behind the push that brought the tag back."""


def captured(*names: str) -> list[Envelope]:
    """Notifications as real registries posted them, of images that the stack's registry never had."""
    return [
        Envelope(one["headers"]["Content-Type"], json.dumps(one["body"]).encode())
        for name in names
        for one in json.loads((CAPTURED / f"{name}.json").read_text())
    ]


def ready(run: FaultRun, digest: str) -> Counter[tuple[str, str]]:
    """How often the image of a digest was called ready, by event and site."""
    return Counter(
        (one.what.event_id, one.what.site)
        for one in run.evidence.statements
        if one.what.digest == digest and one.what.state is ReadinessState.READY
    )


async def restarted(stack: LocalStack, part: str) -> None:
    """Kill a part and wait until it is there again."""
    before = stack.pid_of(part)
    kill(before)

    def another() -> bool:
        return any(one["name"] == part and one["pid"] != before for one in stack.endpoints["processes"])

    await wait_until(another, 60, f"{part} to be started again")


@pytest.mark.timeout(900)
async def test_notifications_in_disorder_and_clocks_that_step_break_no_promise(tools: Tools, tmp_path: Path) -> None:
    """Expected of each kind of disorder, at each site:

    - a notification twice at once, and again at the end, when the receiver has lost its memory: ready once;
    - two pushes of a tag in the wrong order: what the tag means is ready once, the other push never;
    - a deletion before its push: the push is never ready;
    - notifications dated decades ago and ahead, wall clocks that step by hours and days, both ways: ready once;
    - what is announced and was never there (captured from other registries): never ready.
    """
    clock = WallClock(tmp_path)
    with LocalStack(tmp_path / "state", environ=clock.environ) as stack:
        give_up_after(stack, "5s")
        await restarted(stack, "verifier")
        async with (
            notification_tap(stack, tools.registry_v3 or tools.registry_v2, tmp_path) as tap,
            FaultRun.of(stack, SEED, pushers=0, may_fail=NOT_THERE) as run,
        ):
            swapped = [await tap.push.image("swapped", "v1", text) for text in (b"old", b"new")]
            await deliver_swapped(tap, *swapped)
            gone = await deliver_deletion_first(tap)
            twice = await tap.push.image("twice", "v1", b"twice")
            of_twice = await tap.of("push", "twice")
            await asyncio.gather(tap.deliver(of_twice), tap.deliver(of_twice))
            once = [swapped[1], twice, *await deliver_dated(tap), *await deliver_while_clocks_step(tap, run, clock)]
            for envelope in captured(*STRANGERS):
                await tap.deliver(envelope)
            await restarted(stack, "receiver")
            await tap.deliver(of_twice)
            verdict = await run.verdict()
            found = {image.digest: sorted(ready(run, image.digest).values()) for image in once}
            never = ready(run, swapped[0].digest) + ready(run, gone.digest)
    assert verdict.violations == []
    assert found == dict.fromkeys(found, [1] * len(SITES))
    assert not never
    ages = [datetime.now(UTC) - one.what.accepted_at for one in run.evidence.events]
    assert max(ages) > timedelta(days=1), "no service's clock went back"
    assert min(ages) < -timedelta(days=1), "no service's clock went forward"


async def deliver_swapped(tap: NotificationTap, old: Image, new: Image) -> None:
    for image in (new, old):
        await tap.deliver(await tap.of("push", "swapped", digest=image.digest))


async def deliver_deletion_first(tap: NotificationTap) -> Image:
    gone = await tap.push.image("gone", "v1", b"gone")
    await tap.push.delete("gone", gone.digest)
    await tap.deliver(await tap.of("delete", "gone", digest=gone.digest))
    await tap.deliver(await tap.of("push", "gone"))
    return gone


async def deliver_dated(tap: NotificationTap) -> list[Image]:
    images = []
    for repository, timestamp in (("past", "1999-12-31T23:59:59Z"), ("future", "2099-01-01T00:00:00Z")):
        images.append(await tap.push.image(repository, "v1", repository.encode()))
        await tap.deliver((await tap.of("push", repository)).at(timestamp))
    return images


async def ready_everywhere(run: FaultRun, image: Image) -> None:
    await wait_until(lambda: len(ready(run, image.digest)) == len(SITES), 90, f"{image.digest} to be ready")


async def deliver_while_clocks_step(tap: NotificationTap, run: FaultRun, clock: WallClock) -> list[Image]:
    """One image under each clock, ready everywhere before the next step: each service has worked under each clock."""
    images = []
    for number, seconds in enumerate(STEPS):
        image = await tap.push.image(f"stepped{number}", "v1", b"stepped %d" % number)
        clock.step(seconds)
        await tap.deliver(await tap.of("push", f"stepped{number}"))
        await ready_everywhere(run, image)
        images.append(image)
    clock.step(0)
    return images


async def random_disorder(folder: Path, tools: Tools, seed: int) -> tuple[Verdict, int]:
    """Pushes, moved tags and deletions, announced in a random order, many of them several times; clocks step."""
    rng = random.Random(f"disorder {seed}")
    clock = WallClock(folder)
    with LocalStack(folder / "state", environ=clock.environ) as stack:
        give_up_after(stack, "10s")
        await restarted(stack, "verifier")
        async with (
            notification_tap(stack, tools.registry_v3 or tools.registry_v2, folder) as tap,
            FaultRun.of(stack, seed, pushers=0, may_fail=NOT_THERE | STILL_THERE) as run,
        ):
            for number in range(60):
                repository = f"app{rng.randrange(6)}"
                image = await tap.push.image(repository, f"v{rng.randrange(8)}", b"%d" % number)
                if rng.random() < 0.15:
                    await tap.push.delete(repository, image.digest)
                    await tap.of("delete", repository, digest=image.digest)
                await tap.of("push", repository, digest=image.digest)
            envelopes = [*tap.caught, *rng.choices(tap.caught, k=40), *rng.choices(everything_captured(), k=20)]
            rng.shuffle(envelopes)
            for first in range(0, len(envelopes), 4):
                await asyncio.gather(*(tap.deliver(one) for one in envelopes[first : first + 4]))
                if rng.random() < 0.2:
                    clock.step(rng.choice([0, *STEPS]))
                if rng.random() < 0.1:
                    await restarted(stack, rng.choice(["receiver", "coalescer", "verifier"]))
            clock.step(0)
            return await run.verdict(), len(envelopes)


def everything_captured() -> list[Envelope]:
    return captured(*sorted(file.stem for file in CAPTURED.glob("*.json")))


@pytest.mark.skipif(not ROUNDS, reason="the long form: make faults")
@pytest.mark.timeout(600 * max(ROUNDS, 1))
async def test_no_promise_is_broken_over_long_disorder(tools: Tools, tmp_path: Path) -> None:
    report = FaultReport("notification-disorder")
    for number in range(ROUNDS):
        seed = SEED + number
        began = time.monotonic()
        folder = tmp_path / f"round-{number}"
        folder.mkdir()
        verdict, delivered = await random_disorder(folder, tools, seed)
        figures = {"seed": seed, "seconds": round(time.monotonic() - began), "delivered": delivered}
        figures |= verdict.figures | {"checked_after": "not said, for clocks step"}
        report.add(figures | {"violations": verdict.violations})
    assert report.violations() == []
