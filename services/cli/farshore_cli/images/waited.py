"""Whether what is waited for is so, can't get so any more, or may still. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from farshore.topology.model import VerificationLevel
from farshore_cli.images.judge import AtSite, Stage, reaches


class Verdict(Enum):
    """What a wait comes to."""

    SO = auto()
    NOT_SO = auto()
    """And won't be by itself."""
    OPEN = auto()


@dataclass(frozen=True, slots=True)
class Goal:
    """Ready at `number` of `sites`, proved at least to `level`."""

    sites: Sequence[str]
    number: int
    level: VerificationLevel | None = None


def goal_of(text: str, replicas: Sequence[str], level: VerificationLevel | None) -> Goal:
    """What `all`, `any`, a number or names mean for a registry with these replicas. Raises ValueError."""
    if not replicas:
        raise ValueError("the registry has no replica: what is pushed is at its primary, and nobody verifies it there")
    if text == "all":
        return Goal(replicas, len(replicas), level)
    if text == "any":
        return Goal(replicas, 1, level)
    if text.isascii() and text.isdigit():
        if not 1 <= int(text) <= len(replicas):
            raise ValueError(f"{text} sites of {len(replicas)} can't be: {', '.join(replicas)}")
        return Goal(replicas, int(text), level)
    names = list(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in replicas:
            raise ValueError(f"{name!r} has no replica; there are: {', '.join(replicas)}")
    return Goal(names, len(names), level)


def verdict(goal: Goal, found: Mapping[str, AtSite]) -> Verdict:
    """What `found` at the goal's sites means for it."""
    ready = [site for site in goal.sites if _fits(goal, found[site])]
    possible = [site for site in goal.sites if _fits(goal, found[site]) or not _is_over(found[site])]
    if len(ready) >= goal.number:
        return Verdict.SO
    return Verdict.OPEN if len(possible) >= goal.number else Verdict.NOT_SO


def _fits(goal: Goal, one: AtSite) -> bool:
    return one.stage is Stage.READY and reaches(one.told, goal.level)


def _is_over(one: AtSite) -> bool:
    return one.stage is Stage.READY or one.stage.is_final
