"""Configuration of CNCF distribution 2.8 and 3.x, for the primary and for a read-only replica. Pure.

Both without `storage.cache`: a cached descriptor outlives the content it speaks of when a replica's volume switches.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class NotificationTarget:
    """Where the primary's registry posts its notifications."""

    url: str
    token: str


def registry_config(
    root: Path, listen: str, http_secret: str, *, read_only: bool, notify: NotificationTarget | None = None
) -> str:
    """The configuration file's text: a replica is read-only, a primary notifies.

    It holds secrets: write it readable by its owner only.
    """
    maintenance: dict[str, Any] = {"uploadpurging": {"enabled": False}}
    storage: dict[str, Any] = {"filesystem": {"rootdirectory": str(root)}, "maintenance": maintenance}
    document: dict[str, Any] = {
        "version": 0.1,
        # at level info distribution prints the notification token
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": storage,
        "http": {"addr": listen, "secret": http_secret},
    }
    if read_only:
        maintenance["readonly"] = {"enabled": True}
    else:
        storage["delete"] = {"enabled": True}
    if notify is not None:
        document["notifications"] = notification_settings(notify)
    return yaml.safe_dump(document, sort_keys=False)


def notification_settings(target: NotificationTarget) -> dict[str, Any]:
    """The `notifications` of a primary's registry."""
    return {
        "events": {"includereferences": True},
        "endpoints": [
            {
                "name": "farshore",
                "url": target.url,
                "headers": {"Authorization": [f"Bearer {target.token}"]},
                "timeout": "5s",
                "threshold": 3,
                "backoff": "1s",
                "ignoredmediatypes": ["application/octet-stream"],
                "ignore": {"actions": ["pull"]},
            }
        ],
    }
