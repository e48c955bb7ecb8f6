"""skopeo as the demo uses it: push from a layout, delete, pull into a layout."""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from farshore.errors import FarshoreError, RetryClass
from farshore_cli.demo.scenario import Push

_TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Skopeo:
    """Runs `program`. Every failure is a FarshoreError that shows the end of skopeo's own words."""

    program: Path

    async def push(self, layout: Path, push: Push, registry_url: str) -> None:
        """Copy an image with all its platforms to a registry, byte for byte."""
        source = f"oci:{layout}:{push.source}"
        await self._run(
            "copy", "--all", "--preserve-digests", "--dest-tls-verify=false", source, _at(registry_url, push)
        )

    async def pull(self, registry_url: str, push: Push, layout: Path) -> None:
        """Copy an image by its digest into the layout at `layout`."""
        source = f"docker://{urlsplit(registry_url).netloc}/{push.repository}@{push.digest}"
        target = f"oci:{layout}:it"
        await self._run("copy", "--all", "--preserve-digests", "--src-tls-verify=false", source, target)

    async def delete(self, registry_url: str, push: Push) -> None:
        """Delete an image, and with it every tag that names it."""
        await self._run("delete", "--tls-verify=false", _at(registry_url, push))

    async def _run(self, *arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(
            self.program,
            "--insecure-policy",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                _, words = await process.communicate()
        except TimeoutError:
            raise _failed(arguments, f"not done after {_TIMEOUT_SECONDS:g} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            raise _failed(arguments, words.decode(errors="replace").strip()[-600:])


def _at(registry_url: str, push: Push) -> str:
    suffix = f":{push.tag}" if push.tag else f"@{push.digest}"
    return f"docker://{urlsplit(registry_url).netloc}/{push.repository}{suffix}"


def _failed(arguments: tuple[str, ...], reason: str) -> FarshoreError:
    return FarshoreError(f"skopeo {arguments[0]}", arguments[-1], reason, retry=RetryClass.OPERATOR)
