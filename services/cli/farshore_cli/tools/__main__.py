"""What scripts/setup calls last: fetch Kafka's jars, and look that every program is there.

With `--for-tests` it also makes the cache that Kafka starts from: a test run starts dozens of brokers.
"""

import sys

from farshore.errors import FarshoreError
from farshore_cli.tools.find import find_tools
from farshore_cli.tools.kafka import ensure_jars, make_startup_cache, startup_cache

_EX_UNAVAILABLE = 69


def main() -> int:
    try:
        ensure_jars(report=lambda line: print(f"setup: {line}", flush=True))
        find_tools()
        if "--for-tests" in sys.argv[1:]:
            _make_startup_cache()
    except FarshoreError as error:
        print(f"setup: {error}", file=sys.stderr)
        return _EX_UNAVAILABLE
    return 0


def _make_startup_cache() -> None:
    """Tests run without it."""
    if startup_cache().is_file():
        return
    print("setup: the cache that Kafka starts from: a broker is started and ended for it", flush=True)
    try:
        make_startup_cache()
    except (FarshoreError, OSError) as error:
        print(f"setup: skipped: {error}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
