"""Millions of the verifier's schedules: `make simulate`, or with `--schedules N --seconds S --first SEED`.

Ends with what was reached and by how many schedules; `--list` writes that list for the tests to hold on to.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from many import parser, run_many, say_totals
from verifier_schedule import run_range

LISTED = Path(__file__).with_name("verifier_reachable.json")
REPORT = Path(__file__).parents[2] / "build" / "simulation" / "verifier_coverage.json"


def reachable() -> set[str]:
    """What the schedules of the tests have to reach together."""
    return set(json.loads(LISTED.read_text(encoding="utf-8")))


def main() -> int:
    """1 at the first broken promise."""
    arguments = parser("seeded schedules of the verifier's decisions")
    arguments.add_argument("--list", action="store_true", help=f"write {LISTED.name}")
    options = arguments.parse_args()
    totals = run_many(options, run_range, REPORT, reachable())
    if totals.failure is not None:
        print(totals.failure)
        return 1
    for what, count in sorted(totals.reached.items()):
        print(f"{count:>10,}  {what}")
    if options.list:
        often = sorted(what for what, count in totals.reached.items() if count * 300 >= totals.schedules)
        LISTED.write_text(json.dumps(often, indent=1) + "\n", encoding="utf-8")
    missed = sorted(reachable() - set(totals.reached))
    print(f"not reached of the {len(reachable())} listed: {', '.join(missed) or 'none'}")
    say_totals(totals, REPORT)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
