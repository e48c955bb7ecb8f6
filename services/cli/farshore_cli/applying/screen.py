"""Shows an execution as it goes: a line for each call, and a bar for each baseline on a terminal."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from farshore.ontap import OntapError
from farshore_cli.applying.show import size
from farshore_cli.applying.steps import Plan, Step

_TENTH = 10


class ApplyScreen:
    """A context manager. Elsewhere than on a terminal each baseline has a line when it begins, at every tenth, and at
    its end. `quiet` shows nothing, for output that programs read."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=quiet or not console.is_terminal,
        )
        self._bars: dict[str, TaskID] = {}
        self._told: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def sending(self, step: Step) -> None:
        """The call is made now."""
        self._say(f"{step.site}: {step.words} …")

    def sent(self, step: Step, failure: OntapError | None) -> None:
        """It came back."""
        self._say(f"{step.site}: {step.words}: {'done' if failure is None else failure}")

    def looked(self, plan: Plan) -> None:
        """Move the bars to what was seen."""
        running = {one.relationship: one for one in plan.baselines}
        for name, one in running.items():
            if name not in self._bars:
                self._bars[name] = self._progress.add_task(f"baseline {name}", total=one.expected_bytes or None)
            self._progress.update(self._bars[name], completed=one.transferred_bytes)
            tenth = one.transferred_bytes * _TENTH // one.expected_bytes if one.expected_bytes else 0
            if tenth > self._told.get(name, -1):
                self._told[name] = tenth
                if not self._console.is_terminal:
                    of = f" of about {size(one.expected_bytes)}" if one.expected_bytes else ""
                    self._say(f"baseline {name}: {size(one.transferred_bytes)}{of}")
        for name in [name for name in self._bars if name not in running]:
            self._progress.remove_task(self._bars.pop(name))
            self._say(f"baseline {name}: its transfer has ended")

    def _say(self, text: str) -> None:
        if not self._quiet:
            self._console.print(Text(text), soft_wrap=True)
