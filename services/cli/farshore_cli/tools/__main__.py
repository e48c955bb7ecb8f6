"""What scripts/setup calls last: fetch Kafka's jars, and look that every program is there."""

import sys

from farshore.errors import FarshoreError
from farshore_cli.tools.find import find_tools
from farshore_cli.tools.kafka import ensure_jars

_EX_UNAVAILABLE = 69


def main() -> int:
    try:
        ensure_jars(report=lambda line: print(f"setup: {line}", flush=True))
        find_tools()
    except FarshoreError as error:
        print(f"setup: {error}", file=sys.stderr)
        return _EX_UNAVAILABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
