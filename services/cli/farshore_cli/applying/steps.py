"""What a plan consists of: calls, running baselines, and what was found to differ. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Body = Mapping[str, Any]


class Kind(StrEnum):
    """What a call does."""

    CREATE_VOLUME = "create volume"
    CHANGE_VOLUME = "change volume"
    MOUNT_VOLUME = "mount volume"
    UNMOUNT_VOLUME = "unmount volume"
    DELETE_VOLUME = "delete volume"
    CREATE_POLICY = "create policy"
    CHANGE_POLICY = "change policy"
    CREATE_RELATIONSHIP = "create relationship"
    INITIALISE = "initialise"
    BREAK_OFF = "break off"
    RESYNC = "resync"
    PAUSE = "pause"
    ABORT_TRANSFER = "abort transfer"
    DELETE_RELATIONSHIP = "delete relationship"
    CREATE_EVENTS = "create ems destination"
    CHANGE_EVENTS = "change ems destination"


@dataclass(frozen=True, slots=True)
class Step:
    """One call to one cluster."""

    site: str
    kind: Kind
    subject: str
    words: str
    """The same for people."""
    method: str
    path: str
    """Below `/api`; `<uuid of …>` stands for what isn't known yet, and then it waits."""
    body: Body | None = None
    waits: str = ""
    """What has to be there first; empty when the call can be made now."""

    @property
    def key(self) -> str:
        """Tells calls apart: the same call has the same key in every plan."""
        return f"{self.site} {self.method} {self.path} {json.dumps(self.body, sort_keys=True)}"

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "site": self.site,
            "kind": str(self.kind),
            "subject": self.subject,
            "words": self.words,
            "method": self.method,
            "path": f"/api{self.path}",
            "body": self.body,
            "waits_for": self.waits or None,
        }


class Consequence(StrEnum):
    """What follows from a difference."""

    CHANGED = "apply changes it"
    LEFT = "left as it is"
    BLOCKED = "a person has to act"
    UNKNOWN = "couldn't be looked at"


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is there and isn't as the topology has it, or that nobody could look at."""

    site: str
    subject: str
    found: str
    consequence: Consequence
    hint: str = ""

    def as_json(self) -> dict[str, str]:
        """The same for programs."""
        return {
            "site": self.site,
            "subject": self.subject,
            "found": self.found,
            "consequence": self.consequence.name.lower(),
            "hint": self.hint,
        }


@dataclass(frozen=True, slots=True)
class Baseline:
    """A first transfer that runs."""

    relationship: str
    transferred_bytes: int
    expected_bytes: int
    """About how much there is to send, before compression; 0 where nobody knows."""

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "relationship": self.relationship,
            "transferred_bytes": self.transferred_bytes,
            "expected_bytes": self.expected_bytes,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What lies between the clusters and what is wanted of them; steps in the order in which they can be made."""

    steps: tuple[Step, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def ready(self) -> list[Step]:
        """The calls that can be made now."""
        return [step for step in self.steps if not step.waits]

    @property
    def pending(self) -> bool:
        """Whether something is still to be done, or under way."""
        return bool(self.steps or self.baselines)

    def has(self, consequence: Consequence) -> bool:
        """Whether some difference has this consequence."""
        return any(one.consequence is consequence for one in self.differences)

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "steps": [one.as_json() for one in self.steps],
            "baselines": [one.as_json() for one in self.baselines],
            "differences": [one.as_json() for one in self.differences],
        }
