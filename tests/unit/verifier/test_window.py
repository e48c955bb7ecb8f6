"""The window against a model that remembers everything."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from farshore_verifier import window as window_module
from farshore_verifier.window import (
    MAX_METADATA_CHARACTERS,
    MAX_WAITING,
    MIN_ROOM,
    MalformedMetadataError,
    Mark,
    Standing,
    Window,
)


class WindowAgainstModel(RuleBasedStateMachine):
    """Reads a log, decides out of order, commits and crashes: what was committed as decided stays so, nothing else.

    The window is so small that it is often full.
    """

    def __init__(self) -> None:
        super().__init__()
        self.limits = pytest.MonkeyPatch()
        self.limits.setattr(window_module, "MAX_WAITING", 6)
        self.limits.setattr(window_module, "MIN_ROOM", 3)
        self.window = Window(0)
        self.position = 0
        self.log: list[bool] = []  # of each offset: whether it concerns the lane
        self.decided: set[int] = set()
        self.late: set[int] = set()
        self.begun: set[int] = set()
        self.committed = (Mark(0, ""), frozenset[int](), frozenset[int]())

    @rule(concerns=st.lists(st.booleans(), min_size=1, max_size=60))
    def log_grows(self, concerns: list[bool]) -> None:
        self.log += concerns

    def teardown(self) -> None:
        self.limits.undo()

    @rule(most=st.integers(1, 80))
    def read(self, most: int) -> None:
        end = min(len(self.log), self.position + min(most, self.window.room()))
        for offset in range(self.position, end):
            standing = self.window.standing(offset)
            if offset in self.decided:
                assert standing is Standing.DECIDED
            elif self.log[offset]:
                assert standing is not Standing.DECIDED
                assert (standing is Standing.WAITING_LATE) == (offset in self.late)
                self.window.wait_for(offset)
                self.begun.add(offset)
        assert self.window.read_to(end) == []
        self.position = end

    @precondition(lambda self: self.begun)
    @rule(data=st.data())
    def decide(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.begun)))
        self.window.decide(offset)
        self.begun.discard(offset)
        self.decided.add(offset)

    @precondition(lambda self: self.begun)
    @rule(data=st.data())
    def say_late(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.begun)))
        self.window.say_late(offset)
        self.late.add(offset)

    @rule()
    def commit(self) -> None:
        self.committed = (self.window.mark(), frozenset(self.decided), frozenset(self.late))

    @rule()
    def crash(self) -> None:
        mark, decided, late = self.committed
        self.window = Window.restore(mark)
        assert self.window.mark() == mark
        self.position = mark.offset
        self.decided, self.late, self.begun = set(decided), set(late), set()

    @invariant()
    def nothing_below_the_mark_is_undecided(self) -> None:
        mark = self.window.mark()
        assert all(offset in self.decided for offset in range(mark.offset) if self.log[offset])
        assert len(mark.metadata) <= MAX_METADATA_CHARACTERS

    @invariant()
    def it_holds_no_more_than_it_may_and_what_it_holds_can_be_decided(self) -> None:
        assert self.window.waiting <= window_module.MAX_WAITING
        assert self.window.room() or self.begun, "full, and nothing of it has been read"


TestWindowAgainstModel = WindowAgainstModel.TestCase
TestWindowAgainstModel.settings = settings(max_examples=50, stateful_step_count=40)


@given(st.lists(st.integers(1, 2**33), max_size=3 * MAX_WAITING), st.booleans())
def test_a_window_that_is_read_only_while_it_has_room_fits_into_the_metadata(gaps: list[int], late: bool) -> None:
    window = Window(5)
    offset = 5
    for gap in gaps:
        if window.room() == 0:
            break
        offset += gap
        window.wait_for(offset)
        if late:
            window.say_late(offset)
    mark = window.mark()
    assert len(mark.metadata) <= MAX_METADATA_CHARACTERS
    restored = Window.restore(mark)
    assert restored.mark() == mark
    assert restored.waiting == window.waiting


def test_a_long_outage_fills_the_window_by_number_and_by_size() -> None:
    dense, sparse = Window(0), Window(0)
    while dense.room():
        dense.wait_for(dense.low + dense.waiting)
    offset = 0
    while sparse.room():
        offset += 2**33
        sparse.wait_for(offset)
    assert dense.waiting == MAX_WAITING - MIN_ROOM + 1
    assert 500 < sparse.waiting < MAX_WAITING - MIN_ROOM
    assert len(sparse.mark().metadata) <= MAX_METADATA_CHARACTERS


def test_what_a_full_window_left_undecided_is_read_by_the_next_owner_to_the_last_one() -> None:
    """Though there is no room for more before some of it is decided."""
    full = Window(0)
    for offset in range(MAX_WAITING):
        full.wait_for(offset)
    assert full.room() == 0
    restored = Window.restore(full.mark())
    for offset in range(MAX_WAITING):
        assert restored.room() == MAX_WAITING - offset
        restored.wait_for(offset)
    assert restored.room() == 0


def test_an_undecided_arrival_that_retention_deleted_is_reported_and_lets_the_mark_go_on() -> None:
    window = Window(10)
    for offset in (10, 12, 15):
        window.wait_for(offset)
    window.decide(12)
    restored = Window.restore(window.mark())
    restored.wait_for(15)  # 10 is no longer in the log
    assert restored.read_to(20) == [10]
    assert restored.mark().offset == 15
    assert restored.read_to(20) == []


def test_offsets_committed_by_a_tool_without_metadata_are_a_fresh_start() -> None:
    window = Window.restore(Mark(42, ""))
    assert window.standing(41) is Standing.DECIDED
    assert window.standing(42) is Standing.NEW


@pytest.mark.parametrize("metadata", ["hello", "2:AAAA", "1:", "1:!!!", "1:gA", "1:AAI", "1:A"])
def test_metadata_of_somebody_else_is_refused_loudly(metadata: str) -> None:
    with pytest.raises(MalformedMetadataError):
        Window.restore(Mark(0, metadata))


@given(st.text(max_size=60))
def test_any_metadata_is_restored_or_refused(text: str) -> None:
    with contextlib.suppress(MalformedMetadataError):
        Window.restore(Mark(3, "1:" + text)).mark()
