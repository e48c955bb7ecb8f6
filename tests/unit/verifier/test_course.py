"""Looks at one arrival follow one another until it is decided."""

from farshore.records.readiness import ReadinessState
from farshore_verifier.course import Course, Pause
from farshore_verifier.outcome import Decided, Explained, Failed
from farshore_verifier.supersede import Reach

LAGS = Failed(ReadinessState.NOT_FOUND, "the tag is older here", Explained.BY_LAG)
DOWN = Failed(ReadinessState.UNREACHABLE, "refused")


def course(retry_for: float = 100) -> Course:
    begun = Course(retry_for, lambda: 0.5)
    begun.begin(1000.0)
    return begun


def test_pauses_grow_until_something_changes_at_the_site() -> None:
    looks = course()

    def pause() -> float:
        step = looks.see(DOWN, 1000.5)
        assert isinstance(step, Pause)
        return step.seconds

    first, second = pause(), pause()
    assert second == 2 * first
    looks.hurried()
    assert pause() == first


def test_a_lagging_tag_asks_for_one_snapshot_and_again_only_where_that_failed() -> None:
    looks = course()
    asks = []
    for seconds in (0.5, 1.0, 1.5, 2.0):
        step = looks.see(LAGS, 1000 + seconds)
        assert isinstance(step, Pause)
        asks.append(step.ask_for_snapshot)
        if seconds == 1.5:
            looks.asked()
    assert asks == [False, True, True, False]


def test_patience_is_counted_from_the_first_look() -> None:
    looks = course(retry_for=10)
    assert isinstance(looks.see(DOWN, 1009.9), Pause)
    ended = looks.see(DOWN, 1010.0)
    assert isinstance(ended, Decided)
    assert ended.state is ReadinessState.UNREACHABLE


def test_a_newer_event_of_the_same_name_is_not_forgotten_for_one_about_the_content() -> None:
    looks = course()
    looks.touch(Reach.NAME)
    looks.touch(Reach.CONTENT)
    ended = looks.see(DOWN, 1000)
    assert isinstance(ended, Decided)
    assert ended.state is ReadinessState.SUPERSEDED
