"""What the agent does next. Pure."""

from dataclasses import dataclass
from enum import StrEnum

AGAIN_SECONDS = 10.0
"""From a step to the same step for the same rules: a name that DNS didn't know may be known by then."""


class Step(StrEnum):
    """One thing to do."""

    PLACE = "place"
    """Have nginx check the rules, and put them where it reads them."""
    RELOAD = "reload"
    """Have nginx read them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found: the rules that the topology asks for, by digest, and where they have got to."""

    wanted: str
    placed: bool
    """Whether they are in nginx's file."""
    running: str | None
    """The rules that nginx runs, by digest; None where it doesn't say."""


@dataclass(frozen=True, slots=True)
class Tried:
    """The last step, the rules that it was for, and when it was done (seconds of a monotonic clock)."""

    step: Step
    wanted: str
    at: float


def next_step(seen: Seen, last: Tried | None, now: float) -> Step | None:
    """The next step, or None: all is well, or the same was tried a moment ago."""
    if not seen.placed:
        step = Step.PLACE
    elif seen.running != seen.wanted:
        step = Step.RELOAD
    else:
        return None
    if last and (last.step, last.wanted) == (step, seen.wanted) and now - last.at < AGAIN_SECONDS:
        return None
    return step
