"""What a check found. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from farshore.errors import FarshoreError


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: `problem` is empty where all is well, `hint` says what to do about it."""

    what: str
    problem: str = ""
    hint: str = ""
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return not self.problem

    @classmethod
    def of(cls, what: str, error: FarshoreError) -> "Finding":
        """The finding that `error` is."""
        return cls(what, error.reason, error.hint)


def findings_table(findings: Sequence[Finding]) -> Table:
    """A line for each finding: ok, or what is wrong and what to do."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("", "what", "found", "what to do"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        mark = Text("ok", style="green") if finding.ok else Text("WRONG", style="red")
        table.add_row(mark, finding.what, Text(finding.problem or finding.detail), Text(finding.hint))
    return table


def findings_json(topology: str, findings: Sequence[Finding]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "topology": topology,
        "ok": all(finding.ok for finding in findings),
        "findings": [asdict(finding) | {"ok": finding.ok} for finding in findings],
    }
