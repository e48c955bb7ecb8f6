"""The helper that stands in for sleeping."""

import pytest
from waiting import wait_until


async def test_it_gives_back_the_first_true_answer_of_a_function_or_a_coroutine() -> None:
    answers = iter([0, None, 7])

    async def ask() -> int | None:
        return next(answers)

    assert await wait_until(ask, 5, "seven") == 7
    assert await wait_until(lambda: "now", 5, "an answer") == "now"


async def test_it_fails_saying_what_was_waited_for_and_what_was_seen_last() -> None:
    with pytest.raises(AssertionError, match=r"0.3 s still waiting for the moon; last answer: \[\]"):
        await wait_until(list, 0.05, "the moon")
