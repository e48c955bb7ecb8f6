"""A real registry over a directory, and content for it that is made on the spot."""

import gzip
import hashlib
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from waiting import wait_until

from farshore.media_types import OCI_INDEX, OCI_MANIFEST
from farshore.oci import Digest
from farshore_cli.tools.child import end, spawn, tail
from farshore_cli.tools.ports import free_port

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass
class RegistryProcess:
    """One registry, writable or read-only, without a descriptor cache as farshore's replicas run."""

    program: Path
    root: Path
    """What it serves; may be a symbolic link that is switched while it runs."""
    read_only: bool = False
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_file(self) -> Path:
        return self.root.with_name(f"{self.root.name}-{self.port}.log")

    async def start(self) -> None:
        config = self.root.with_name(f"{self.root.name}-{self.port}.yml")
        config.write_text(
            f"""
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {self.root}}}
  delete: {{enabled: true}}
  maintenance: {{readonly: {{enabled: {str(self.read_only).lower()}}}, uploadpurging: {{enabled: false}}}}
http: {{addr: "127.0.0.1:{self.port}", secret: test}}
"""
        )
        environ = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
        process = spawn([str(self.program), "serve", str(config)], log_file=self.log_file, environ=environ)
        self._process = process

        async def answers() -> bool:
            assert process.poll() is None, tail(self.log_file)
            async with aiohttp.ClientSession() as session:
                try:
                    async with session.get(f"{self.url}/v2/") as response:
                        return response.status == 200
                except aiohttp.ClientError:
                    return False

        await wait_until(answers, 20, f"the registry at {self.url}")

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None:
            end(self._process, within_seconds=5)
            self._process = None


@dataclass(frozen=True)
class Image:
    """A pushed manifest."""

    digest: Digest
    content: bytes
    media_type: str
    layers: tuple[Digest, ...] = ()

    def descriptor(self, **more: Any) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content), **more}


class Pusher:
    """Pushes made-up content over the distribution API."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def image(
        self, repository: str, tag: str | None, *layers: bytes, more: dict[str, Any] | None = None
    ) -> Image:
        config = json.dumps({"architecture": "amd64", "os": "linux", "layers": len(layers)}).encode()
        packed = [gzip.compress(layer, mtime=0) for layer in layers]
        descriptors = [await self._blob(repository, blob, LAYER_TYPE) for blob in packed]
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": await self._blob(repository, config, CONFIG_TYPE),
            "layers": descriptors,
            **(more or {}),
        }
        return await self.manifest(
            repository, tag, manifest, OCI_MANIFEST, tuple(Digest(entry["digest"]) for entry in descriptors)
        )

    async def index(self, repository: str, tag: str | None, children: list[dict[str, Any]]) -> Image:
        return await self.manifest(
            repository, tag, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}, OCI_INDEX
        )

    async def manifest(
        self,
        repository: str,
        tag: str | None,
        manifest: dict[str, Any],
        media_type: str,
        layers: tuple[Digest, ...] = (),
    ) -> Image:
        content = json.dumps(manifest, indent=1).encode()
        digest = Digest.of(content)
        async with self._session.put(
            f"{self._url}/v2/{repository}/manifests/{tag or digest}",
            data=content,
            headers={"Content-Type": media_type},
        ) as response:
            assert response.status == 201, await response.text()
        return Image(digest, content, media_type, layers)

    async def delete(self, repository: str, digest: Digest) -> None:
        async with self._session.delete(f"{self._url}/v2/{repository}/manifests/{digest}") as response:
            assert response.status == 202, await response.text()

    async def _blob(self, repository: str, content: bytes, media_type: str) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        async with self._session.post(f"{self._url}/v2/{repository}/blobs/uploads/") as response:
            assert response.status == 202, await response.text()
            target = response.headers["Location"]
        async with self._session.put(f"{target}&digest={digest}", data=content) as response:
            assert response.status == 201, await response.text()
        return {"mediaType": media_type, "digest": digest, "size": len(content)}


def blob_file(root: Path, digest: Digest) -> Path:
    """Where distribution keeps a blob's bytes."""
    return root / "docker/registry/v2/blobs" / digest.algorithm / digest.hex[:2] / digest.hex / "data"


def tag_link(root: Path, repository: str, tag: str) -> Path:
    """Where distribution keeps what a tag means."""
    return root / "docker/registry/v2/repositories" / repository / "_manifests/tags" / tag / "current/link"
