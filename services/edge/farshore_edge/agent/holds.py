"""Whether a hold would apply: nginx's workers have to see the files in the hold folder."""

import logging
from pathlib import Path

from farshore.telemetry import event
from farshore_edge.agent import metrics
from farshore_edge.agent.nginx import Nginx

log = logging.getLogger(__name__)


class HoldFolder:
    """`trouble` says why holds don't apply, though the folder is there."""

    def __init__(self, folder: Path, nginx: Nginx) -> None:
        self.folder = folder
        self.trouble: str | None = None
        self._nginx = nginx

    async def look(self) -> None:
        """Ask nginx; where it doesn't answer, what was known stays."""
        seen = await self._nginx.sees_hold_folder()
        if seen is None:
            return
        unseen = not seen and _is_folder(self.folder)
        if unseen and self.trouble is None:
            self.trouble = (
                f"nginx's workers may not look into {self.folder}, so files there hold no writes: give the folder"
                " mode 0755, or have the workers run as its owner (FARSHORE_EDGE_USER)"
            )
            metrics.holds_unseen.add(1)
            event(log, logging.ERROR, "holds don't apply", reason=self.trouble)
        elif not unseen and self.trouble is not None:
            self.trouble = None
            metrics.holds_unseen.add(-1)
            event(log, logging.INFO, "holds apply again")


def _is_folder(path: Path) -> bool:
    """False where it can't be known."""
    try:
        return path.is_dir()
    except OSError:
        return False
