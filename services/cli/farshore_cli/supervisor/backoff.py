"""How long to wait before a part that ended is started again."""

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 10.0
STEADY_SECONDS = 30.0
"""A part that lived this long was well: its next failure is a first one."""


def next_delay(previous: float | None, lived_seconds: float, *, killed: bool = False) -> float:
    """Seconds to wait; `previous` is the last wait, None for the first failure.

    `killed`: it was well until somebody else ended it, which says nothing against starting it at once.
    """
    if previous is None or killed or lived_seconds >= STEADY_SECONDS:
        return FIRST_SECONDS
    return min(previous * 2, LONGEST_SECONDS)
