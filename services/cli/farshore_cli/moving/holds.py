"""The hold files: while one is there, the edge that looks into its folder holds the registry's writes."""

import json
from datetime import UTC, datetime
from pathlib import Path

from farshore.errors import FarshoreError, RetryClass
from farshore_cli.moving.facts import Hold
from farshore_cli.stack.files import write

SITE = "{site}"


class HoldFiles:
    """Those of one registry; `folder` is where each edge looks, with `{site}` in place of the site's name."""

    def __init__(self, folder: str, registry: str) -> None:
        self._folder = folder
        self._registry = registry

    def path(self, site: str) -> Path:
        """The hold file of the edge at `site`."""
        return Path(self._folder.replace(SITE, site)) / self._registry

    def read(self, site: str) -> Hold | None:
        """What the file says; None where there is none. Raises FarshoreError where it can't be read."""
        path = self.path(site)
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
            changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failed("read", path, error) from error
        try:
            document = json.loads(text)
            return Hold(str(document["move"]), str(document["target"]), datetime.fromisoformat(document["since"]))
        except (ValueError, TypeError, KeyError):
            return Hold("", "", changed)

    def write(self, site: str, hold: Hold) -> None:
        """Hold the writes, in one step; a hold that is there already keeps its time."""
        path = self.path(site)
        document = {"move": hold.move, "target": hold.target, "since": hold.since.isoformat()}
        try:
            write(path, json.dumps(document))
        except OSError as error:
            raise _failed("write", path, error) from error

    def remove(self, site: str) -> None:
        """Release the writes; gone is as good as removed."""
        path = self.path(site)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _failed("remove", path, error) from error


def _failed(operation: str, path: Path, error: OSError) -> FarshoreError:
    hint = "the mover needs each edge's hold folder: see --hold-dir"
    return FarshoreError(f"{operation} hold file", str(path), str(error), retry=RetryClass.OPERATOR, hint=hint)
