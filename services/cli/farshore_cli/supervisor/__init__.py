"""Child processes that are started in order, kept running, and ended in reverse order."""

from farshore_cli.supervisor.part import Notice, Part, PartFailedError, Stage
from farshore_cli.supervisor.supervisor import Process, Supervisor

__all__ = ["Notice", "Part", "PartFailedError", "Process", "Stage", "Supervisor"]
