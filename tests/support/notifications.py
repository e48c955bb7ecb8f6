"""Registry notifications as CNCF distribution 3.x posts them."""

import json
import secrets
from typing import Any

CONTENT_TYPE = "application/vnd.docker.distribution.events.v2+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def push(repository: str = "lib/app", tag: str | None = "v1", **changed: Any) -> dict[str, Any]:
    """One manifest push with an id and a digest of its own."""
    target = {
        "mediaType": MANIFEST,
        "digest": f"sha256:{secrets.token_hex(32)}",
        "size": 480,
        "repository": repository,
    }
    if tag is not None:
        target["tag"] = tag
    return {
        "id": f"id-{secrets.token_hex(8)}",
        "timestamp": "2026-11-24T14:18:52.515514714Z",
        "action": "push",
        "target": target,
        "source": {"addr": "registry:5000", "instanceID": "process-1"},
        **changed,
    }


def envelope(*events: Any) -> bytes:
    return json.dumps({"events": events}).encode()
