"""When a registry that is asked for is reconciled: at once, and less often while requests keep coming. Pure."""

from dataclasses import dataclass

FIRST_REST_SECONDS = 10.0


@dataclass(slots=True)
class Pace:
    """One registry's. `longest_rest` is what a rest grows to; times are seconds of one monotonic clock."""

    longest_rest: float
    not_before: float = 0.0
    _rest: float = 0.0

    def ran(self, now: float) -> None:
        """A run because of a request ended, well or not: the next has to wait twice as long as this one had to.

        Where nobody asked for as long again after a rest, it begins anew.
        """
        was_quiet = now >= self.not_before + self._rest
        self._rest = min(self.longest_rest, FIRST_REST_SECONDS if was_quiet else 2 * self._rest)
        self.not_before = now + self._rest
