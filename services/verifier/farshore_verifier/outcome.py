"""What follows from one look at a site: pure. Only `Proven` makes an image ready, whatever else is the matter."""

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from farshore.records.readiness import ReadinessState
from farshore_verifier.supersede import Reach

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 10.0
LAG_SECONDS = 1.0
"""A site whose tag lags for longer needs another snapshot: the one it has was taken before the tag was written."""


@dataclass(frozen=True, slots=True)
class Proven:
    """The site serves all that policy asks for, and it matched.

    `bytes_verified` counts bytes that were hashed for this look; `receipt` covers all that was proved.
    """

    level: str
    platforms: tuple[str, ...]
    bytes_verified: int
    receipt: str
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gone:
    """The site answers "not found" for what was deleted."""


class Explained(Enum):
    """What could explain a failure without anything being wrong."""

    NO = "nothing"
    BY_LAG = "the site's snapshot may be a moment too old, or a later event undid this one"
    NEVER_HEALS = "it is as it was pushed: looking again changes nothing"


FailureState = Literal[
    ReadinessState.NOT_FOUND,
    ReadinessState.CORRUPT,
    ReadinessState.TIMED_OUT,
    ReadinessState.UNREACHABLE,
    ReadinessState.REGISTRY_ERROR,
]


@dataclass(frozen=True, slots=True)
class Failed:
    """The look proved nothing; `state` says which of the five ways, `of_registry` that it would have met any look."""

    state: FailureState
    reason: str
    explained: Explained = Explained.NO
    of_registry: bool = False


Finding = Proven | Gone | Failed


@dataclass(frozen=True, slots=True)
class Decided:
    """The arrival's end: what its record says."""

    state: ReadinessState
    finding: Finding
    reason: str | None = None

    @property
    def given_up(self) -> bool:
        """Whether the arrival also goes to the dead letters."""
        return isinstance(self.finding, Failed) and self.state is not ReadinessState.SUPERSEDED


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Nothing is decided yet; `wants_snapshot` asks for the volume to be marked dirty."""

    wants_snapshot: bool


def judge(
    finding: Finding, touched: Reach | None, waited_seconds: float, retry_for_seconds: float
) -> Decided | LookAgain:
    """What to do after `finding`, `waited_seconds` after the first look began.

    `touched` is how a newer event bears on this one.
    """
    if isinstance(finding, Proven):
        return Decided(ReadinessState.READY, finding)
    if isinstance(finding, Gone):
        return Decided(ReadinessState.REVOKED, finding)
    lag = finding.explained is Explained.BY_LAG
    if touched is Reach.NAME or (touched is Reach.CONTENT and lag):
        return Decided(
            ReadinessState.SUPERSEDED, finding, f"a newer event has {touched.value}; before it: {finding.reason}"
        )
    if finding.explained is Explained.NEVER_HEALS or waited_seconds >= retry_for_seconds:
        return Decided(finding.state, finding, finding.reason)
    return LookAgain(wants_snapshot=lag and waited_seconds >= LAG_SECONDS)


def pause_seconds(attempt: int, chance: float) -> float:
    """How long to wait after the `attempt`-th look (from 1): doubling from 50 ms to 10 s, half by `chance` (0 to 1)."""
    whole = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(attempt - 1, 16))
    return whole * (0.5 + chance / 2)
