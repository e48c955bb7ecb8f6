"""The long forms' report: build/faults/report.json, and a line on the terminal for each round."""

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "build/faults/report.json"


class FaultReport:
    """The rounds of one suite; the file has those of the other suites too, each as it last ran."""

    def __init__(self, suite: str, file: Path = FILE) -> None:
        self._suite = suite
        self._file = file
        self.rounds: list[dict[str, Any]] = []

    def add(self, figures: dict[str, Any]) -> None:
        """Write down a round that has just ended; figures may be numbers, texts, lists, or numbers by name."""
        self.rounds.append(figures)
        document = json.loads(self._file.read_text()) if self._file.exists() else {}
        document[self._suite] = {"total": self.total(), "rounds": self.rounds}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(document, indent=2) + "\n")
        verdict = "kept" if not figures["violations"] else f"BROKEN: {figures['violations'][:3]}"
        told = ", ".join(f"{name} {_short(value)}" for name, value in figures.items() if name != "violations")
        print(f"{self._suite} round {len(self.rounds)}: {told}: promises {verdict}", flush=True)

    def total(self) -> dict[str, Any]:
        """Numbers summed over the rounds; what isn't a number is left out."""
        total: dict[str, Any] = {"rounds": len(self.rounds), "violations": len(self.violations())}
        for figures in self.rounds:
            for name, value in figures.items():
                if isinstance(value, dict):
                    sums = total.setdefault(name, {})
                    for key, number in value.items():
                        sums[key] = sums.get(key, 0) + number
                elif isinstance(value, int) and name not in ("seed", "instances"):
                    total[name] = total.get(name, 0) + value
        return total

    def table(self) -> str:
        """A line for each round and one for all of them; of numbers by name their sum, of lists their length."""
        names = [name for name, value in self.rounds[0].items() if not isinstance(value, str)]
        lines = [names, *([_cell(figures[name]) for name in names] for figures in self.rounds)]
        total = self.total()
        lines.append([_cell(total.get(name, "")) for name in names])
        widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
        )

    def violations(self) -> list[str]:
        """Every broken promise of every round."""
        return [line for figures in self.rounds for line in figures["violations"]]


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return str(sum(value.values()))
    return str(len(value)) if isinstance(value, list) else str(value)


def _short(value: object) -> str:
    return " ".join(f"{key}={number}" for key, number in value.items()) if isinstance(value, dict) else str(value)
