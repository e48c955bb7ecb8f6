"""What a run found and did. Pure."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from farshore_reconciler.judge import Cause, Missing, Remark, Remarked

SHOWN = 1000
"""Images that a report names; it counts all."""


@dataclass(slots=True)
class RegistryReport:
    """One registry's run."""

    registry: str
    repositories: int = 0
    names: int = 0
    announced: Counter[Cause] = field(default_factory=Counter)
    """Events by cause; of a dry run, those that would be announced."""
    remarks: Counter[tuple[Remark, str]] = field(default_factory=Counter)
    """By remark and site."""
    unsettled: int = 0
    """Missing at the first look and not, or otherwise, at the second: left to the next run."""
    deletions_stopped: int = 0
    """Deletions found beyond the limit: none of them was announced."""
    deletion_limit: int = 0
    rehashed_images: int = 0
    rehashed_bytes: int = 0
    damaged: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """Why something isn't known."""
    images: list[dict[str, Any]] = field(default_factory=list)
    """The first `SHOWN` findings one by one."""

    @property
    def lost_notifications(self) -> int:
        """How many notifications never reached farshore."""
        return self.announced[Cause.LOST_PUSH] + self.announced[Cause.LOST_DELETE]

    @property
    def is_unknown(self) -> bool:
        """Whether anything couldn't be found out."""
        return bool(self.unknown) or any(remark is Remark.UNKNOWN for remark, _ in self.remarks)

    @property
    def needs_a_person(self) -> bool:
        """Whether something is wrong that no announcement mends."""
        return bool(self.damaged) or self.deletions_stopped > 0

    def remark(self, remarked: Remarked) -> None:
        """Count a remark."""
        self.remarks[remarked.remark, remarked.site] += 1
        self._show(str(remarked.name), remarked.remark.value, (remarked.site,))

    def announce(self, missing: Missing) -> None:
        """Count an event."""
        self.announced[missing.cause] += 1
        self._show(str(missing.name), missing.cause.value, missing.sites)

    def _show(self, image: str, finding: str, sites: tuple[str, ...]) -> None:
        if len(self.images) < SHOWN:
            self.images.append({"image": image, "finding": finding, "sites": list(sites)})

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "registry": self.registry,
            "repositories": self.repositories,
            "names": self.names,
            "lost_notifications": self.lost_notifications,
            "announced": {cause.value: self.announced[cause] for cause in Cause},
            "remarks": [
                {"remark": remark.value, "site": site, "images": count}
                for (remark, site), count in sorted(self.remarks.items())
            ],
            "unsettled": self.unsettled,
            "deletions_stopped": self.deletions_stopped,
            "deletion_limit": self.deletion_limit,
            "rehashed": {"images": self.rehashed_images, "bytes": self.rehashed_bytes},
            "damaged": self.damaged,
            "unknown": self.unknown,
            "is_unknown": self.is_unknown,
            "images": self.images,
        }
