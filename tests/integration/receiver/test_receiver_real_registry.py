"""Real registries post to the receiver while skopeo pushes."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from notifications import MANIFEST
from receiver_process import TOKEN, ReceiverProcess, records_of
from waiting import wait_until

from farshore.bus.topics import DEADLETTER, EVENTS
from farshore.records.events import Event, EventKind
from farshore_cli.tools.child import end, spawn, tail
from farshore_cli.tools.find import Tools
from farshore_cli.tools.ports import free_port

pytestmark = pytest.mark.integration


@contextmanager
def registry_that_posts(program: Path, folder: Path, receiver: ReceiverProcess, name: str) -> Iterator[str]:
    """A registry with nothing left out of its notifications; gives its `host:port`."""
    port = free_port()
    config = folder / "registry.yml"
    config.write_text(
        f"""
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {folder / "storage"}}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}", secret: test}}
notifications:
  events: {{includereferences: true}}
  endpoints:
    - name: farshore
      url: {receiver.url}/v1/notifications/{name}
      headers: {{Authorization: ["Bearer {TOKEN}-{name}"]}}
      timeout: 2s
      threshold: 3
      backoff: 1s
"""
    )
    log_file = folder / "registry.log"
    environ = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    process = spawn([str(program), "serve", str(config)], log_file=log_file, environ=environ)
    try:
        yield f"127.0.0.1:{port}"
        assert process.poll() is None, tail(log_file)
    finally:
        end(process, within_seconds=5)


def write_image(folder: Path, content: bytes) -> str:
    """An OCI image layout with one image of one file; returns the manifest's digest."""

    def blob(data: bytes, media_type: str) -> dict[str, Any]:
        name = hashlib.sha256(data).hexdigest()
        (folder / "blobs" / "sha256" / name).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data)}

    (folder / "blobs" / "sha256").mkdir(parents=True)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    diff_id = f"sha256:{hashlib.sha256(archive.getvalue()).hexdigest()}"
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [blob(gzip.compress(archive.getvalue(), mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip")],
    }
    described = blob(json.dumps(manifest).encode(), MANIFEST)
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return str(described["digest"])


def push(tools: Tools, layout: Path, target: str) -> None:
    command = [str(tools.skopeo), "copy", "--insecure-policy", "--dest-tls-verify=false", f"oci:{layout}", target]
    subprocess.run(command, check=True, capture_output=True, timeout=300)


@pytest.mark.parametrize("version", ["v2", "v3"])
async def test_a_push_and_a_delete_arrive_from_a_real_registry_even_past_a_kill(
    version: str, tools: Tools, receiver: ReceiverProcess, bootstrap: str, unique: str, tmp_path: Path
) -> None:
    program = tools.registries.get(version)
    if program is None:
        pytest.skip(f"there is no registry {version} here (scripts/setup gets 3.x where Go is)")
    digest = write_image(tmp_path / "layout", unique.encode())

    async def events() -> list[Event]:
        return [Event.from_json(record.value, "here") for record in await records_of(bootstrap, EVENTS, unique)]

    with registry_that_posts(program, tmp_path, receiver, unique) as address:
        async with aiohttp.ClientSession() as session:

            async def registry_answers() -> bool:
                try:
                    async with session.get(f"http://{address}/v2/") as answer:
                        return answer.status == 200
                except aiohttp.ClientConnectionError:
                    return False

            await wait_until(registry_answers, 20, "the registry")
            push(tools, tmp_path / "layout", f"docker://{address}/lib/app:v1")
            await wait_until(events, 30, "the first push in Kafka")
            receiver.kill()
            push(tools, tmp_path / "layout", f"docker://{address}/lib/app:v2")
            async with session.delete(f"http://{address}/v2/lib/app/manifests/{digest}") as answer:
                assert answer.status == 202
            await receiver.start()

            async def deletions() -> bool:
                return len({event.id for event in await events() if event.kind is EventKind.TAG_DELETED}) == 2

            await wait_until(deletions, 30, "the deletions in Kafka")

    found = list({event.id: event for event in await events()}.values())
    assert [(event.kind, event.tag) for event in found[:3]] == [
        (EventKind.MANIFEST_PUSHED, "v1"),
        (EventKind.MANIFEST_PUSHED, "v2"),
        (EventKind.MANIFEST_DELETED, None),
    ]
    assert {event.digest for event in found[:3]} == {digest}
    assert {event.tag for event in found[3:]} == {"v1", "v2"}
    assert {event.repository for event in found} == {"lib/app"}
    assert not await records_of(bootstrap, DEADLETTER, unique)
