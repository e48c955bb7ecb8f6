"""What farshore's own code warns about while a command runs it: to whoever gave the command."""

import logging
from collections.abc import Callable

from farshore.telemetry.logs import PlainLines


def warn_by(say: Callable[[str], None]) -> None:
    """From now on `say` is given each warning, a line each, and nobody else is."""
    logging.getLogger().handlers[:] = [_Warnings(say)]
    # whoever reads that the topology is refused wants to know when it is right again
    logging.getLogger("farshore.topology.watch").setLevel(logging.INFO)
    # it logs each failed connection of an outage; the commands say what couldn't be reached
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


class _Warnings(logging.Handler):
    """What is warned about twice in a row is said once: the edges of a local stack have the same trouble."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self.setFormatter(PlainLines())
        self._say = say
        self._last = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if text != self._last:
            self._say(text)
        self._last = text
