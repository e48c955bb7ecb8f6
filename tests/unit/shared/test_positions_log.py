"""A group's position is its newest one that is kept, read from the end of Kafka's log of positions."""

import random
import struct

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from farshore.bus.positions_log import Ended, Moved, NewestFirst, position_of

PLACE = TopicPartition("events", 3)
NOBODY = -1


def moved(at: int, to: int | None, producer: int = 7, group: str = "g") -> Moved:
    return Moved(at, producer, group, None if to is None else OffsetAndMetadata(to, ""))


def search(*stretches: list[Moved | Ended], groups: tuple[str, ...] = ("g",)) -> NewestFirst:
    """`stretches` in the log's order."""
    found = NewestFirst(groups, PLACE)
    for stretch in reversed(stretches):
        found.add(stretch)
    return found


def test_a_position_of_a_transaction_counts_once_the_transaction_is_kept() -> None:
    assert search([moved(0, 5), Ended(1, 7, True)]).found == {"g": (5, "")}


def test_a_position_that_is_taken_back_uncovers_the_one_before() -> None:
    assert search([moved(0, 5), Ended(1, 7, True), moved(2, 0), Ended(3, 7, False)]).found == {"g": (5, "")}


def test_a_position_in_an_open_transaction_is_undecided_and_hides_the_one_before() -> None:
    found = search([moved(0, 5), Ended(1, 7, True), moved(2, 6)])
    assert found.undecided == {"g": 7}
    assert not found.found
    assert found.complete


def test_an_open_transaction_of_somebody_elses_holds_nobody_up() -> None:
    found = search([moved(0, 1, producer=9, group="other"), moved(1, 5), Ended(2, 7, True)], groups=("g", "other"))
    assert (found.found, found.undecided) == ({"g": (5, "")}, {"other": 9})


def test_a_position_outside_a_transaction_counts_at_once() -> None:
    assert search([moved(0, 5), Ended(1, 7, True), moved(2, 8, producer=NOBODY)]).found == {"g": (8, "")}


def test_a_position_that_kafka_forgot_is_none() -> None:
    assert search([moved(0, 5), Ended(1, 7, True), moved(2, None, producer=NOBODY)]).found == {"g": None}


def test_a_transaction_may_begin_in_an_older_stretch_than_it_ends_in() -> None:
    kept = search([moved(0, 5)], [Ended(1, 8, False)], [Ended(2, 7, True), moved(3, 6), Ended(4, 7, False)])
    assert kept.found == {"g": (5, "")}


def test_the_cut_into_stretches_changes_nothing() -> None:
    chance = random.Random(1)
    for _ in range(200):
        log: list[Moved | Ended] = []
        truth: dict[str, int] = {}
        pending: dict[int, dict[str, int]] = {}
        for at in range(chance.randint(1, 30)):
            producer, group = chance.randint(1, 3), chance.choice("ab")
            if chance.random() < 0.4:
                kept = chance.random() < 0.5
                log.append(Ended(at, producer, kept))
                for name, to in pending.pop(producer, {}).items():
                    if kept and to > truth.get(name, -1):  # here an offset says when it was written
                        truth[name] = to
            else:
                log.append(moved(at, at, producer, group))
                pending.setdefault(producer, {})[group] = at
        for producer in pending:
            log.append(Ended(len(log), producer, False))
        cuts = sorted(chance.randint(0, len(log)) for _ in range(3))
        stretches = [log[a:b] for a, b in zip([0, *cuts], [*cuts, len(log)], strict=True)]
        assert {g: p.offset for g, p in search(*stretches, groups=("a", "b")).found.items() if p} == truth


@pytest.mark.parametrize(
    ("version", "value"),
    [
        (0, struct.pack(">hqh", 0, 17, 3) + b"abc" + bytes(8)),
        (1, struct.pack(">hqh", 1, 17, 3) + b"abc" + bytes(16)),
        (3, struct.pack(">hqih", 3, 17, -1, 3) + b"abc" + bytes(8)),
        (4, struct.pack(">hqi", 4, 17, -1) + b"\x04abc" + bytes(9)),
    ],
)
def test_every_version_of_a_position_is_read(version: int, value: bytes) -> None:
    assert position_of(value) == OffsetAndMetadata(17, "abc")


def test_a_long_text_beside_the_position_is_read() -> None:
    text = "x" * 300
    value = struct.pack(">hqi", 4, 17, -1) + bytes([0xAD, 0x02]) + text.encode() + bytes(9)
    assert position_of(value) == OffsetAndMetadata(17, text)
