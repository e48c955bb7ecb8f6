"""The proof: every image pulled at each site, by digest, and compared with what was pushed, blob by blob."""

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from farshore.errors import FarshoreError
from farshore_cli.demo.oci_layout import LayoutError, closure
from farshore_cli.demo.scenario import Push
from farshore_cli.demo.skopeo import Skopeo

_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Proof:
    """How many images were pulled, and how many were what was pushed; `problems` says which were not, and why."""

    expected: int
    pulled: int
    matched: int
    problems: tuple[str, ...]

    @property
    def held(self) -> bool:
        """Whether every image was there and right."""
        return 0 < self.expected == self.pulled == self.matched


async def prove(
    skopeo: Skopeo,
    layout: Path,
    images: Sequence[Push],
    edges: Mapping[str, str],
    folder: Path,
    say: Callable[[str], None],
) -> Proof:
    """Pull `images` through each of `edges` (URL by site) into `folder`, hash every blob, compare with `layout`."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int, push: Push, site: str) -> tuple[bool, str]:
        async with turn:
            pulled = folder / f"{site}-{number}"
            try:
                await skopeo.pull(edges[site], push, pulled)
                problem = await asyncio.to_thread(_compare, layout, pulled, push)
            except FarshoreError as error:
                say(f"{site}: {push.reference}: {error}")
                return False, f"{site}: {push.reference}: {error}"
            finally:
                await asyncio.to_thread(shutil.rmtree, pulled, ignore_errors=True)
            say(f"{site}: pulled {push.repository}@{push.digest[:19]}: {problem or 'the same, blob for blob'}")
            return True, f"{site}: {push.reference}: {problem}" if problem else ""

    answers = await asyncio.gather(*(one(number, push, site) for number, push in enumerate(images) for site in edges))
    problems = tuple(problem for _, problem in answers if problem)
    pulled = sum(was_pulled for was_pulled, _ in answers)
    return Proof(len(answers), pulled, sum(not problem for _, problem in answers), problems)


def _compare(pushed: Path, pulled: Path, push: Push) -> str:
    """What is wrong with the pulled image; empty when nothing is."""
    try:
        here, there = closure(pulled, push.digest), closure(pushed, push.digest)
    except LayoutError as error:
        return str(error)
    if here != there:
        return f"{len(set(there) - set(here))} blobs are missing, {len(set(here) - set(there))} are foreign"
    return ""
