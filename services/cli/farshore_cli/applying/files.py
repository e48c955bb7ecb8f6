"""The files that people carry to registries and edges: rendered here, put in place by them."""

from pathlib import Path

import yaml

from farshore.errors import ConfigurationError
from farshore.topology import Topology
from farshore_cli.stack.registry_config import NotificationTarget, notification_settings
from farshore_edge.render import render
from farshore_edge.runtime import Runtime


def site_files(topology: Topology, receiver: str, hold_dir: Path) -> dict[str, str]:
    """Contents by file name: the rules of each edge, and what goes into the configuration of each primary's registry,
    which posts to `receiver`. A file in the edges' `hold_dir` holds writes. Tokens are named, by their references, not
    read."""
    runtime = Runtime(hold_dir=hold_dir)
    files = {f"edge-{name}.conf": render(topology, name, runtime) for name, site in topology.sites.items() if site.edge}
    for name, registry in topology.registries.items():
        token = f"<the token behind {registry.notifications.tokens[0]}>"
        target = NotificationTarget(f"{receiver}/v1/notifications/{name}", token)
        settings = yaml.safe_dump({"notifications": notification_settings(target)}, sort_keys=False)
        head = f"# Into the configuration of registry {name} at {registry.primary.site}, and nowhere else.\n"
        files[f"registry-{name}.yaml"] = head + settings
    return files


def write_files(folder: Path, files: dict[str, str]) -> list[Path]:
    """Write what differs, each in one step; returns those that were written. Raises ConfigurationError."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            target = folder / name
            if target.exists() and target.read_text(encoding="utf-8") == text:
                continue
            draft = target.with_name(f".{name}.new")
            draft.write_text(text, encoding="utf-8")
            draft.replace(target)
            written.append(target)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError("write files below", str(folder), str(error), hint="give another --files") from None
    return written
