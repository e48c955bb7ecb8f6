"""Content verification against `openssl dgst -sha256` on the same files, closure checks against a bare aiohttp loop.

Four measurements, each against its reference in the same round; rounds alternate, medians count. The page cache holds
the files, so that what is compared is work, not a disk.

- `mounted_one`: one large file on a mounted volume, against openssl on that file;
- `mounted_many`: many files side by side, against as many openssl processes as there are cores, each with its share;
- `http`: the same files from a local registry, several at once, against one openssl process over all of them; beside it
  `bare_http`, which reads them and doesn't hash, since the registry sets that limit;
- `closure`: blobs proved to exist, a second, against the same HEAD requests in a bare aiohttp loop.

    uv run --all-packages python bench/verification.py
"""

import argparse
import asyncio
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from registry_process import RegistryProcess, blob_file

from farshore.oci import Digest, Repository
from farshore.registry import MountedRegistry, RegistryClient, Storage
from farshore_cli.tools.find import find_tools
from farshore_verifier.blobs import BlobReader
from farshore_verifier.plan import Descriptor
from farshore_verifier.site_content import SiteContent

APP = Repository("bench/app")
AT_ONCE = 8
LAYER = "application/vnd.oci.image.layer.v1.tar"


def write_blobs(root: Path, count: int, size: int) -> list[Descriptor]:
    """Blobs as a registry's storage has them, linked to one repository."""
    written = []
    for _ in range(count):
        content = os.urandom(size)
        digest = Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")
        file = blob_file(root, digest)
        link = root / "docker/registry/v2/repositories" / APP / "_layers/sha256" / digest.hex / "link"
        for path, data in ((file, content), (link, digest.encode())):
            path.parent.mkdir(parents=True)
            path.write_bytes(data)
        written.append(Descriptor(digest, size, LAYER))
    return written


async def openssl(files: list[Path], processes: int) -> float:
    """Seconds in which openssl hashes `files`, shared out among `processes`."""
    shares = [files[number::processes] for number in range(processes)]
    began = time.perf_counter()
    running = [
        await asyncio.create_subprocess_exec("openssl", "dgst", "-sha256", *share, stdout=subprocess.DEVNULL)
        for share in shares
        if share
    ]
    for process in running:
        if await process.wait():
            raise SystemExit("openssl failed")
    return time.perf_counter() - began


async def side_by_side(blobs: list[Descriptor], prove: Callable[[Descriptor], Awaitable[object]], most: int) -> float:
    """Seconds in which all `blobs` are proved, `most` at once."""
    waiting = iter(blobs)

    async def worker() -> None:
        for blob in waiting:
            await prove(blob)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(most)))
    return time.perf_counter() - began


async def verify(content: SiteContent, blobs: list[Descriptor], most: int = AT_ONCE) -> float:
    """What the verifier does with an image's blobs; a new reader each time, which remembers nothing."""
    reader = BlobReader(content)
    return await side_by_side(blobs, lambda blob: reader.intact(APP, blob), most)


async def closure(content: SiteContent, blobs: list[Descriptor]) -> float:
    reader = BlobReader(content)
    return await side_by_side(blobs, lambda blob: reader.present(APP, blob), AT_ONCE)


def address(url: str, blob: Descriptor) -> str:
    return f"{url}/v2/{APP}/blobs/{blob.digest}"


async def bare_get(session: aiohttp.ClientSession, url: str, blobs: list[Descriptor]) -> float:
    async def get(blob: Descriptor) -> None:
        async with session.get(address(url, blob)) as response:
            async for _ in response.content.iter_any():
                pass

    return await side_by_side(blobs, get, AT_ONCE)


async def bare_head(session: aiohttp.ClientSession, url: str, blobs: list[Descriptor]) -> float:
    async def head(blob: Descriptor) -> None:
        async with session.head(address(url, blob)) as response:
            if response.headers["Content-Length"] != str(blob.size):
                raise SystemExit("the registry has another size")

    return await side_by_side(blobs, head, AT_ONCE)


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    one = write_blobs(folder / "one", 1, options.large << 20)
    many = write_blobs(folder / "many", options.files, options.size << 20)
    seconds: dict[str, list[float]] = {}
    registries = find_tools().registries
    registry = RegistryProcess(registries.get("v3") or registries["v2"], folder / "many", read_only=True)
    await registry.start()
    try:
        async with (
            MountedRegistry(Storage(folder / "one", mount_point=False)) as volume_of_one,
            MountedRegistry(Storage(folder / "many", mount_point=False)) as volume,
            RegistryClient(registry.url) as client,
            aiohttp.ClientSession() as session,
        ):
            large = [blob_file(folder / "one", one[0].digest)]
            files = [blob_file(folder / "many", blob.digest) for blob in many]
            heads = (many * (options.heads // len(many) + 1))[: options.heads]
            cores = os.cpu_count() or 1
            steps: dict[str, Callable[[], Awaitable[float]]] = {
                "openssl_one": lambda: openssl(large, 1),
                "mounted_one": lambda: verify(volume_of_one, one),
                "openssl_many": lambda: openssl(files, cores),
                "mounted_many": lambda: verify(volume, many),
                "openssl_all": lambda: openssl(files, 1),
                "http": lambda: verify(client, many),
                "bare_http": lambda: bare_get(session, registry.url, many),
                "bare_closure": lambda: bare_head(session, registry.url, heads),
                "closure": lambda: closure(client, heads),
            }
            for number in range(options.rounds + 1):
                for name, step in steps.items():
                    took = await step()
                    if number:  # the first round warms up
                        seconds.setdefault(name, []).append(took)
    finally:
        registry.stop()
    pairs = {
        "mounted_one": ("openssl_one", 0.9),
        "mounted_many": ("openssl_many", 0.9),
        "http": ("openssl_all", 0.7),
        "bare_http": ("openssl_all", None),
        "closure": ("bare_closure", 0.8),
    }
    ratios = {
        name: round(statistics.median(a / b for a, b in zip(seconds[reference], seconds[name], strict=True)), 3)
        for name, (reference, _) in pairs.items()
    }
    volume_mib = {"openssl_one": options.large, "mounted_one": options.large}
    return {
        "name": "verification",
        "reference": "openssl dgst -sha256 on the same files; the lowest ratio to what was wanted counts",
        "ratio": round(min(ratios[name] / least for name, (_, least) in pairs.items() if least), 3),
        "ratios": ratios,
        "wanted": {name: least for name, (_, least) in pairs.items() if least},
        "mib_per_second": {
            name: round(volume_mib.get(name, options.files * options.size) / statistics.median(times))
            for name, times in seconds.items()
            if "closure" not in name
        },
        "closure_checks_per_second": round(options.heads / statistics.median(seconds["closure"])),
        "bare_heads_per_second": round(options.heads / statistics.median(seconds["bare_closure"])),
        "rounds": options.rounds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--large", type=int, default=512, help="MiB of the one file")
    parser.add_argument("--files", type=int, default=64)
    parser.add_argument("--size", type=int, default=8, help="MiB of each of many")
    parser.add_argument("--heads", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--least", type=float, default=0.0, help="the ratio below which the exit code is 1")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = uvloop.run(measure(options, Path(folder)))
    print(json.dumps(result, indent=2))
    ratio = result["ratio"]
    if isinstance(ratio, float) and ratio < options.least:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
