"""What the edge's agent does next, and what it says of a registry's answer."""

import pytest

from farshore_edge.agent.decide import AGAIN_SECONDS, Seen, Step, Tried, next_step
from farshore_edge.agent.nginx import first_complaint
from farshore_edge.agent.reach import State, state_of

ALL_IS_WELL = Seen("new", placed=True, running="new")
TO_PLACE = [Seen("new", placed=False, running=running) for running in ("old", "new", None)]
TO_RELOAD = [Seen("new", placed=True, running=running) for running in ("old", None)]


@pytest.mark.parametrize("seen", TO_PLACE)
def test_rules_are_put_in_place_before_nginx_reads_them(seen: Seen) -> None:
    assert next_step(seen, None, 0.0) == Step.PLACE


@pytest.mark.parametrize("seen", TO_RELOAD)
def test_nginx_reads_what_is_in_place_and_it_does_not_run(seen: Seen) -> None:
    assert next_step(seen, None, 0.0) == Step.RELOAD


@pytest.mark.parametrize("last", [None, Tried(Step.PLACE, "new", 0.0), Tried(Step.RELOAD, "old", 0.0)])
def test_nothing_is_done_while_nginx_runs_what_it_should(last: Tried | None) -> None:
    assert next_step(ALL_IS_WELL, last, 1.0) is None


@pytest.mark.parametrize("seen", [*TO_PLACE, *TO_RELOAD])
def test_the_same_step_for_the_same_rules_has_its_pause(seen: Seen) -> None:
    step = next_step(seen, None, 0.0)
    assert step is not None
    last = Tried(step, "new", 100.0)
    assert next_step(seen, last, 100.0 + AGAIN_SECONDS - 0.1) is None
    assert next_step(seen, last, 100.0 + AGAIN_SECONDS) == step


@pytest.mark.parametrize("seen", [*TO_PLACE, *TO_RELOAD])
def test_other_rules_and_the_other_step_wait_for_nothing(seen: Seen) -> None:
    step = next_step(seen, None, 0.0)
    assert step is not None
    other = Step.PLACE if step == Step.RELOAD else Step.RELOAD
    assert next_step(seen, Tried(step, "rules before these", 100.0), 100.0) == step
    assert next_step(seen, Tried(other, "new", 100.0), 100.0) == step


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (200, State.UP),
        (401, State.UP),
        (403, State.UP),
        (502, State.DOWN),
        (503, State.DOWN),
        (504, State.DOWN),
        (404, State.UNKNOWN),
        (None, State.UNKNOWN),
    ],
)
def test_a_registry_that_wants_credentials_is_up_and_one_that_was_not_asked_unknown(
    status: int | None, state: State
) -> None:
    assert state_of(status) == state


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            'nginx: [warn] conflicting name\nnginx: [emerg] host not found in upstream "a:1" in /e.conf:9\n',
            '[emerg] host not found in upstream "a:1" in /e.conf:9',
        ),
        ("sh: 1: killed\n", "sh: 1: killed"),
        ("\n", "it ended without a word"),
    ],
)
def test_of_what_nginx_says_the_reason_is_shown(said: str, shown: str) -> None:
    assert first_complaint(said) == shown
