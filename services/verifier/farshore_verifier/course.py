"""One arrival from its first look to its decision: pure. Told what was seen and when, it says what to do next."""

from collections.abc import Callable
from dataclasses import dataclass

from farshore_verifier.outcome import Decided, Finding, judge, pause_seconds
from farshore_verifier.supersede import Reach


@dataclass(frozen=True, slots=True)
class Pause:
    """Look again after `seconds`, or as soon as something changes; first ask for a snapshot where that is wanted."""

    seconds: float
    ask_for_snapshot: bool


class Course:
    """The looks at one arrival. Times are seconds of any clock that only goes forward; `chance` gives [0, 1)."""

    def __init__(self, retry_for_seconds: float, chance: Callable[[], float]) -> None:
        self._retry_for = retry_for_seconds
        self._chance = chance
        self._touched: Reach | None = None
        self._began: float | None = None
        self._in_a_row = 0
        self._asked = False
        self.looked = False
        """Whether there was a look already."""

    def touch(self, reach: Reach) -> None:
        """A newer event bears on this arrival."""
        if self._touched is not Reach.NAME:
            self._touched = reach

    def begin(self, now: float) -> None:
        """The first look begins: patience is counted from here."""
        self._began = now

    def see(self, finding: Finding, now: float) -> Decided | Pause:
        """What follows from the look that has just ended with `finding`."""
        verdict = judge(finding, self._touched, self._waited(now), self._retry_for)
        self.looked = True
        if isinstance(verdict, Decided):
            return verdict
        self._in_a_row += 1
        return Pause(pause_seconds(self._in_a_row, self._chance()), verdict.wants_snapshot and not self._asked)

    def patience(self, now: float) -> float:
        """For how many seconds more a failure is no reason to give up."""
        return self._retry_for - self._waited(now)

    def _waited(self, now: float) -> float:
        return 0.0 if self._began is None else now - self._began

    def asked(self) -> None:
        """A snapshot has been asked for; it isn't again."""
        self._asked = True

    def hurried(self) -> None:
        """Something changed at the site: pauses begin short again."""
        self._in_a_row = 0
