"""How long to wait after failures: doubling, bounded, with jitter that is a pure function of what failed."""

import zlib

from farshore.errors import RetryClass

FIRST_SECONDS = 0.2
LONGEST_SECONDS = 30.0
OPERATOR_SECONDS = 30.0
"""How often, at the least, something is looked at again that a person has to mend."""
FIRST_OPERATOR_SECONDS = 4.0
"""Short works of an administrator are over sooner than that."""
FINAL_SECONDS = 300.0
"""How often something is looked at again that is not expected to heal."""
EXPECTED_FROM, EXPECTED_TO = 0.75, 1.5
"""When a transfer's end is expected, in times of what the last one took."""


def backoff(failures: int, salt: str) -> float:
    """Seconds to wait after the `failures`-th failure in a row (from 1); `salt` spreads things that failed together."""
    return spread(min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(failures - 1, 16)), f"{salt}/{failures}")


def operator_wait(failures: int) -> float:
    """Seconds until something is looked at again that a person has to mend; `failures` in a row, from 1."""
    return min(OPERATOR_SECONDS, FIRST_OPERATOR_SECONDS * 2.0 ** min(failures - 1, 16))


def spread(seconds: float, salt: str) -> float:
    """Between half of `seconds` and all of it, by `salt`: what was done at one time is not all done again at one."""
    return seconds * (0.5 + zlib.crc32(salt.encode()) / 2**33)


def poll_interval(elapsed: float, share: float, expected: float) -> float:
    """Seconds until a transfer is looked at again that has run for `elapsed`: `share` of it, from 20 ms to 2 s, and a
    quarter of that (no less than 10 ms) around its `expected` end, what the last one took; 0 where there was none."""
    usual = min(2.0, max(0.02, elapsed * share))
    often = max(0.01, usual / 4)
    until_expected = EXPECTED_FROM * expected - elapsed
    if until_expected > 0:
        return min(usual, max(often, until_expected))
    return often if elapsed < EXPECTED_TO * expected else usual


def wait_seconds(retry: RetryClass, failures: int, salt: str) -> float:
    """Until something that failed `failures` times in a row is looked at again, as the class of its failure asks."""
    if retry is RetryClass.OPERATOR:
        return operator_wait(failures)
    if retry is RetryClass.FINAL:
        return FINAL_SECONDS
    return backoff(failures, salt)
