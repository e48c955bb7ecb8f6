"""Images of one layer that are pushed and looked for at a local stack."""

import os
from functools import partial
from pathlib import Path
from typing import NamedTuple

import aiohttp
from local_stack import LocalStack
from waiting import wait_until

from farshore.media_types import OCI_MANIFEST
from farshore.oci import Digest, Repository, Tag
from farshore_cli.demo.oci_layout import LayoutWriter
from farshore_cli.demo.scenario import Push
from farshore_cli.demo.skopeo import Skopeo
from farshore_cli.tools.find import Tools


class Pushed(NamedTuple):
    """An image, and its layer, which no other image has."""

    push: Push
    layer: Digest


async def push_image(stack: LocalStack, tools: Tools, folder: Path, name: str, site: str = "nyc") -> Pushed:
    """Push one as `NAME:v1` through the edge of `site`."""
    writer = LayoutWriter(folder / name.replace("/", "-"))
    layer = writer.layer(os.urandom(50_000))
    image = writer.image([layer])
    writer.name(image, "it")
    pushed = Push(Repository.parse(name), Tag.parse("v1"), image.digest, "it")
    await Skopeo(tools.skopeo).push(writer.folder, pushed, stack.endpoints["sites"][site]["edge"])
    return Pushed(pushed, layer.digest)


async def served_at(stack: LocalStack, site: str, push: Push, by: str = "registry") -> bool:
    """Whether the site's registry, or its edge, has the image's manifest."""
    url = f"{stack.endpoints['sites'][site][by]}/v2/{push.repository}/manifests/{push.digest}"
    async with aiohttp.ClientSession(headers={"Accept": OCI_MANIFEST}) as session, session.get(url) as answer:
        return answer.status == 200


async def served_everywhere(stack: LocalStack, push: Push) -> None:
    """Wait until every site's own registry has it."""
    for site in stack.endpoints["sites"]:
        await wait_until(partial(served_at, stack, site, push), 90, f"{push.reference} at {site}")
