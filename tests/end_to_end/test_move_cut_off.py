"""`farshore up` after a move that was cut off: it comes up as things stand, and the move, begun again, ends well."""

from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from farshore_command import farshore, start_farshore
from local_stack import LocalStack
from stack_images import push_image, served_at, served_everywhere
from waiting import wait_until

from farshore_cli.tools.find import Tools

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("cut-off") / "state") as stack:
        yield stack


def primary_of(stack: LocalStack) -> str:
    return next(str(site) for site, entry in stack.endpoints["sites"].items() if entry["role"] == "primary")


def move_to(stack: LocalStack, target: str) -> tuple[str, ...]:
    endpoints = stack.endpoints
    where = ("--topology", endpoints["topology"], "--kafka", endpoints["kafka"]["bootstrap_servers"])
    # starting the stack again may take longer on a busy machine than a move gives itself
    return ("move", "main", "--to", target, *where, "--hold-dir", endpoints["holds"], "--hold-at-most", "2h")


async def move_until(stack: LocalStack, target: str, last_step: str) -> None:
    """Begin a move, and kill it once it says that this step is done."""
    process = await start_farshore(*move_to(stack, target))
    assert process.stdout is not None
    said = []
    async for line in process.stdout:
        said.append(line.decode().rstrip())
        if last_step in said[-1] and said[-1].endswith(": done"):
            process.kill()
            break
    else:
        _, errors = await process.communicate()
        pytest.fail(f"it ended before that: {said} {errors.decode()}")
    await process.communicate()


async def upload_at(stack: LocalStack, site: str) -> tuple[int, str | None]:
    """What the site's edge says to a client that begins one: status and state."""
    url = f"{stack.endpoints['sites'][site]['edge']}/v2/team/app/blobs/uploads/"
    async with aiohttp.ClientSession() as session, session.post(url) as answer:
        return answer.status, answer.headers.get("X-Farshore-State")


@pytest.mark.parametrize("last_step", ["the volume there becomes writable", "write the topology"])
async def test_the_stack_comes_up_after_a_move_that_was_cut_off_and_the_move_goes_on(
    stack: LocalStack, tools: Tools, tmp_path: Path, last_step: str
) -> None:
    source = primary_of(stack)
    target, other = (site for site in stack.endpoints["sites"] if site != source)
    images = [(await push_image(stack, tools, tmp_path, f"team/before-{target}", other)).push]
    await move_until(stack, target, last_step)
    stack.stop()
    stack.start()
    assert await served_at(stack, source, images[0], by="edge")
    assert await upload_at(stack, other) == (503, "held")

    moved = await farshore(*move_to(stack, target), within_seconds=600)
    assert moved.code == 0, (moved.out, moved.err)
    await wait_until(lambda: primary_of(stack) == target, 60, "the stack to know its new primary")
    for site in stack.endpoints["sites"]:
        assert await upload_at(stack, site) == (202, None)
        images.append((await push_image(stack, tools, tmp_path, f"team/after-{target}-{site}", site)).push)
    for image in images:
        await served_everywhere(stack, image)
