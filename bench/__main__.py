"""`make bench`: runs every benchmark, each against its named reference in the same run; results as JSON and a table.

`python -m bench latency` runs only what is named. The other results stay as they were last.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parent / "build" / "bench" / "results.json"
BENCHMARKS = (
    "receiver",
    "receiver_cores",
    "arrivals",
    "reconcile",
    "relationships",
    "latency",
    "footprint",
    "verification",
    "optimum",
    "edge",
)


def main() -> int:
    """0 when every benchmark ran; what a figure should be is for its reader."""
    parser = argparse.ArgumentParser(prog="bench", description="run benchmarks, all of them where none is named")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    names = parser.parse_args().names or BENCHMARKS
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    fresh = {}
    for name in names:
        print(f"running {name} …", flush=True)
        answer = subprocess.run(
            [sys.executable, str(FOLDER / f"{name}.py")], stdout=subprocess.PIPE, text=True, timeout=1800
        )
        try:
            fresh[name] = json.loads(answer.stdout)
        except json.JSONDecodeError:
            print(f"{name} failed with exit code {answer.returncode}")
            return 1
        _keep(fresh[name])
    print(f"{'benchmark':<14} {'figure':>14}  reference")
    for result in (fresh[name] for name in names):
        print(f"{result['name']:<14} {_figure(result):>14}  {result['reference']}")
    print(f"all figures: {RESULTS}")
    return 0


def _keep(result: dict[str, Any]) -> None:
    """At once, so that a benchmark that fails later takes nothing away."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    kept = {each["name"]: each for each in known} | {result["name"]: result}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps([kept[name] for name in BENCHMARKS if name in kept], indent=2) + "\n")


def _figure(result: dict[str, Any]) -> str:
    """The one figure of a table's line: the ratio, or what a benchmark has instead of one."""
    return f"{result['ratio']:.2f}" if "ratio" in result else str(result["figure"])


if __name__ == "__main__":
    raise SystemExit(main())
