"""When a part that ended is started again."""

from farshore_cli.supervisor.backoff import FIRST_SECONDS, LONGEST_SECONDS, STEADY_SECONDS, next_delay


def test_failures_in_a_row_wait_longer_up_to_a_bound() -> None:
    delays = [next_delay(None, 0.1)]
    for _ in range(10):
        delays.append(next_delay(delays[-1], 0.1))
    assert delays[0] == FIRST_SECONDS
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_SECONDS


def test_a_part_that_was_killed_is_started_again_at_once() -> None:
    assert next_delay(LONGEST_SECONDS, 0.1, killed=True) == FIRST_SECONDS


def test_a_part_that_ran_well_for_a_while_is_started_again_at_once() -> None:
    assert next_delay(LONGEST_SECONDS, STEADY_SECONDS) == FIRST_SECONDS
