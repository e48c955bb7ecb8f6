"""What schedules are known to reach (reachable.json), and how docs/coalescer.md shows it.

`python tests/simulation/diagram.py` runs the schedules of `make test` and writes both anew.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from many import run_all
from schedule import run_range
from steps import Step

PAGE = Path(__file__).parents[2] / "docs" / "coalescer.md"
LIST = Path(__file__).parent / "reachable.json"
BEGIN = "<!-- reached: written by tests/simulation/diagram.py -->"
END = "<!-- end of reached -->"
SCHEDULES = 10_000
"""What `make test` runs."""
OFTEN = 8
"""A step that so many of them reach is listed: it is then reached still when a change of the code shifts the dice."""

TITLES = {
    "replica": "A relationship: in which activity (column) what (row) is met, and which activity follows",
    "source": "The source volume",
    "publication": "A site's arrivals",
}


def reachable() -> set[Step]:
    """The listed steps."""
    return {(machine, before, cause, after) for machine, before, cause, after in json.loads(LIST.read_text("utf-8"))}


def draw(steps: Iterable[Step]) -> str:
    """The picture of a relationship's activities, and the tables."""
    causes: dict[tuple[str, str], set[str]] = defaultdict(set)
    for machine, before, cause, after in steps:
        if machine == "replica" and before != after:
            causes[before, after].add(cause.partition(":")[0])
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> UNKNOWN"]
    lines += [
        f"    {before} --> {after}: {', '.join(sorted(names))}" for (before, after), names in sorted(causes.items())
    ]
    return "\n".join([*lines, "```", "", tables(steps)])


def tables(steps: Iterable[Step]) -> str:
    """What was met where, as Markdown: a dot is what no schedule reached, `=` what changes nothing."""
    parts = [f"{title}:\n\n{_table(steps, machine)}" for machine, title in TITLES.items()]
    return "\n\n".join([*parts, f"Actions, and what they were answered with:\n\n{_answers(steps)}"])


def _table(steps: Iterable[Step], machine: str) -> str:
    cells: dict[tuple[str, str], set[str]] = defaultdict(set)
    for kind, before, cause, after in steps:
        if kind == machine:
            cells[cause, before].add("=" if before == after else after)
    columns = sorted({before for _, before in cells})
    rows = [f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for cause in sorted({cause for cause, _ in cells}):
        row = [", ".join(sorted(cells[cause, before])) if (cause, before) in cells else "·" for before in columns]
        rows.append(f"| {cause} | {' | '.join(row)} |")
    return "\n".join(rows)


def _answers(steps: Iterable[Step]) -> str:
    answers: dict[str, list[str]] = defaultdict(list)
    for machine, action, answer, _ in sorted(steps):
        if machine == "answer":
            answers[action].append(answer)
    return "\n".join(["| action | answers |", "|---|---|", *(f"| {a} | {', '.join(b)} |" for a, b in answers.items())])


def drawn(page: str) -> str | None:
    """What stands between the marks of `page`."""
    if BEGIN not in page or END not in page:
        return None
    return page.split(BEGIN)[1].split(END)[0].strip()


def main() -> None:
    failure, reached = run_all(run_range, SCHEDULES)
    if failure is not None:
        raise SystemExit(failure)
    listed = sorted(step for step, count in reached.items() if count >= OFTEN)
    LIST.write_text("[\n" + ",\n".join(f" {json.dumps(step)}" for step in listed) + "\n]\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{draw(listed)}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
