"""How often a registry is reconciled because somebody asks for it."""

from farshore_reconciler.pace import FIRST_REST_SECONDS, Pace


def test_the_first_request_is_met_at_once() -> None:
    assert Pace(600.0).not_before <= 0.0


def test_rests_double_while_requests_keep_coming_and_have_a_bound() -> None:
    pace = Pace(60.0)
    rests = []
    now = 1000.0
    for _ in range(6):
        pace.ran(now)
        rests.append(pace.not_before - now)
        now = pace.not_before
    assert rests == [10.0, 20.0, 40.0, 60.0, 60.0, 60.0]


def test_after_a_quiet_time_it_begins_anew() -> None:
    pace = Pace(600.0)
    for now in (1000.0, 1010.0):
        pace.ran(now)
    pace.ran(2000.0)
    assert pace.not_before == 2000.0 + FIRST_REST_SECONDS
