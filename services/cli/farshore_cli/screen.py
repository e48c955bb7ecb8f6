"""Shows the parts of a stack: a live table on a terminal, a line for each change elsewhere."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from farshore_cli.supervisor import Notice, Stage

_STYLES = {Stage.STARTING: "yellow", Stage.READY: "green", Stage.ENDED: "red", Stage.STOPPED: "dim"}


class PartsScreen:
    """A context manager; `show` takes what the supervisor tells. After its end only parts that die are shown.

    Times count from `began`, of `time.monotonic()`; from now where it is left out.
    """

    def __init__(self, console: Console, names: Sequence[str], began: float | None = None) -> None:
        self._console = console
        self._latest: dict[str, Notice | None] = dict.fromkeys(names)
        self._began = time.monotonic() if began is None else began
        self._over = False
        self._live = Live(self._table(), console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._over = True

    def show(self, notice: Notice) -> None:
        """Show one change."""
        self._latest[notice.part] = notice
        if self._live is not None:
            self._live.update(self._table(), refresh=True)
        elif self._is_news(notice):
            pid = f" pid {notice.pid}" if notice.pid else ""
            detail = f" ({notice.detail})" if notice.detail else ""
            self.say(f"{notice.part}: {notice.stage}{pid}{detail}")

    def _is_news(self, notice: Notice) -> bool:
        if self._over:  # the parts are in the background: only what goes wrong counts
            return notice.stage is Stage.ENDED
        return notice.stage is not Stage.STARTING or bool(notice.detail)

    def say(self, text: str) -> None:
        """A line of its own; above the table where there is one."""
        self._console.print(Text(f"[{time.monotonic() - self._began:6.1f} s] {text}"), soft_wrap=True)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for heading in ("part", "state", "pid", ""):
            table.add_column(heading)
        for name, notice in self._latest.items():
            if notice is None:
                table.add_row(name, Text("waiting", style="dim"), "", "")
            else:
                pid = str(notice.pid) if notice.pid else ""
                state = Text(str(notice.stage), style=_STYLES[notice.stage])
                table.add_row(name, state, pid, Text(notice.detail.partition("\n")[0]))
        return table
