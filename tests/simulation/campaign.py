"""Millions of schedules: `make simulate`, or `python tests/simulation/campaign.py --schedules N --seconds S`.

Ends with the table of what was reached, and writes it with counts to build/simulation/coverage.json.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from diagram import reachable, tables
from many import Totals, parser, run_many, say_totals
from schedule import run_range

REPORT = Path(__file__).parents[2] / "build" / "simulation" / "coverage.json"


def main() -> int:
    """Run them all, say how it goes, and end with 1 at the first broken promise."""
    totals = run_many(
        parser("seeded schedules of the coalescer's decisions").parse_args(), run_range, REPORT, reachable()
    )
    if totals.failure is not None:
        print(totals.failure)
        return 1
    print(f"\n{tables(set(totals.reached))}\n")
    _say_coverage(totals)
    say_totals(totals, REPORT)
    return 0


def _say_coverage(totals: Totals) -> None:
    listed, reached = reachable(), totals.reached
    beyond, missed = set(reached) - listed, listed - set(reached)
    print(f"{len(reached)} steps reached; {len(missed)} of the {len(listed)} listed ones were not:")
    for step in sorted(missed):
        print(f"  {' '.join(step)}")
    print(f"{len(beyond)} rare ones beyond the list, and by how many schedules they were reached:")
    for step in sorted(beyond):
        print(f"  {reached[step]:>8,} {' '.join(step)}")


if __name__ == "__main__":
    raise SystemExit(main())
