"""Shows the demo as it goes: a live table on a terminal, a line for each piece of news elsewhere."""

import time
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.live import Live
from rich.text import Text

from farshore_cli.demo.report import Row
from farshore_cli.demo.table import live_table


class DemoScreen:
    """`show` takes the rows as they stand; what changed is found here."""

    def __init__(self, console: Console, sites: Sequence[str], began: float) -> None:
        self._console = console
        self._sites = sites
        self._began = began
        self._known: set[tuple[str, str, str]] = set()
        self._live: Live | None = None

    def say(self, text: str) -> None:
        """A line of its own; above the table where there is one."""
        self._console.print(Text(f"[{time.monotonic() - self._began:6.1f} s] {text}"), soft_wrap=True)

    def begin(self) -> None:
        """Show the live table from now on, where there is a terminal."""
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()

    def end(self) -> None:
        """Take the live table away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, rows: Sequence[Row]) -> None:
        """Show how things stand."""
        if self._live is not None:
            self._live.update(live_table(rows, self._sites), refresh=True)
            return
        for line in self._news(rows):
            self.say(line)

    def _news(self, rows: Iterable[Row]) -> Iterable[str]:
        for row in rows:
            for site, fate in row.fates.items():
                state = fate.state or ("arrived" if fate.arrived_at else None)
                key = (f"{row.push.reference}@{row.push.digest}", site, str(state))
                if state is None or key in self._known:
                    continue
                self._known.add(key)
                seconds = "" if fate.seconds_to_ready is None else f" {fate.seconds_to_ready:.1f} s after its push"
                yield f"{site}: {row.push.reference} {state}{seconds if state == 'ready' else ''}"
