"""Shows a move as it goes: a line for each step that begins or ends, and for each thing that is waited for."""

from rich.console import Console
from rich.text import Text

from farshore.errors import FarshoreError
from farshore_cli.moving.steps import MovePlan, MoveStep


class PlainMoveScreen:
    """`quiet` shows nothing, for output that programs read."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._waiting: frozenset[str] = frozenset()

    def beginning(self, step: MoveStep) -> None:
        """The mover does it now."""
        self._say(f"{_place(step)}{step.words} …")

    def done(self, step: MoveStep, failure: FarshoreError | None) -> None:
        """It did, or couldn't."""
        self._say(f"{_place(step)}{step.words}: {failure or 'done'}", "red" if failure else "green")

    def looked(self, plan: MovePlan) -> None:
        """What is waited for now; each thing is said once."""
        awaited = [f"{_place(step)}waiting until {step.words}" for step in plan.awaited]
        for line in awaited:
            if line not in self._waiting:
                self._say(line, "yellow")
        self._waiting = frozenset(awaited)

    def _say(self, line: str, style: str = "") -> None:
        if not self._quiet:
            self._console.print(Text(line, style=style))


def _place(step: MoveStep) -> str:
    return f"{step.site}: " if step.site else ""
