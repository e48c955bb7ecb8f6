"""What a move consists of: acts of the mover, and what it waits for. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from farshore_cli.applying.steps import Consequence, Difference, Step


class Stage(StrEnum):
    """A move's stages, in their order; each begins when the one before it is over."""

    CATCH_UP = "the target catches up"
    HOLD = "hold writes"
    DRAIN = "last writes end"
    MARK = "mark the log"
    TRANSFER = "last transfer"
    VERIFY = "verify everything"
    BREAK = "break"
    ANNOUNCE = "announce what vanished"
    PROMOTE = "the registry takes writes"
    SWITCH = "switch the topology"
    REVERSE = "reverse"
    FOLLOW = "edges follow"
    RELEASE = "release writes"
    REPOINT = "re-point the other sites"
    RESYNC = "resynchronise"
    TAKE_UP = "services take it up"
    GO_BACK = "go back"
    """Of a move that is given up."""


class Act(StrEnum):
    """What the mover does itself."""

    HOLD = "hold"
    RELEASE = "release"
    MARK = "mark"
    CALL = "call"
    """A REST call to a cluster."""
    ANNOUNCE = "announce"
    PROMOTE = "promote"
    SWITCH = "switch"


@dataclass(frozen=True, slots=True)
class MoveStep:
    """One step. Without an `act` somebody else does it, and the mover waits and looks."""

    stage: Stage
    site: str
    words: str
    act: Act | None = None
    call: Step | None = None
    move: str = ""
    """The id of the move, where the act needs it."""
    waits: str = ""
    """What has to be first; empty when it can be done now."""

    @property
    def key(self) -> str:
        """Tells steps apart: the same step has the same key in every plan."""
        return self.call.key if self.call is not None else f"{self.stage}/{self.act}/{self.site}/{self.move}"

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "stage": str(self.stage),
            "site": self.site or None,
            "words": self.words,
            "act": str(self.act) if self.act else None,
            "call": self.call.as_json() if self.call else None,
            "waits_for": self.waits or None,
        }


@dataclass(frozen=True, slots=True)
class MovePlan:
    """What is left to be done, in order."""

    steps: tuple[MoveStep, ...] = ()
    differences: tuple[Difference, ...] = ()
    given_up: str = ""
    """Why this plan leads back and not on."""

    @property
    def ready(self) -> list[MoveStep]:
        """What the mover can do now."""
        return [step for step in self.steps if step.act is not None and not step.waits]

    @property
    def awaited(self) -> list[MoveStep]:
        """What it waits for now."""
        return [step for step in self.steps if step.act is None and not step.waits]

    def has(self, consequence: Consequence) -> bool:
        """Whether some difference has this consequence."""
        return any(one.consequence is consequence for one in self.differences)

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "steps": [one.as_json() for one in self.steps],
            "differences": [one.as_json() for one in self.differences],
            "given_up": self.given_up or None,
        }
