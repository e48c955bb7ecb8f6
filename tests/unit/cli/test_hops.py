"""What `farshore status` says of a hop, from what is known of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from farshore.records.transfers import TransferPhase, TransferRecord
from farshore.topology import Relationship
from farshore_cli.hops.hop import HEADINGS, Hop, Lag, Said, Traffic, all_known, hops_of, said_of, traffic_of

NOW = datetime(2026, 11, 28, tzinfo=UTC)
FRA = Relationship("main", "fra", "registry", "nyc", "registry")
AMS = Relationship("main", "ams", "registry", "fra", "registry")
SYD = Relationship("main", "syd", "registry", "ams", "registry")


def ended(transfer: str, phase: TransferPhase = "finished", size: int = 100, minute: int = 0) -> TransferRecord:
    return TransferRecord(
        relationship="main.fra",
        registry="main",
        site="fra",
        phase=phase,
        transfer=transfer,
        snapshot="farshore-0a1b2c3d-0-4-1-5e1f0c4a",
        logical_bytes=size,
        reason="aborted" if phase == "failed" else None,
        at=NOW + timedelta(minutes=minute),
    )


def hop(lag: Lag | None = None, traffic: Traffic | None = None, said: Said | None = None) -> Hop:
    return Hop(FRA, 1, lag, traffic, said)


def test_hops_count_from_the_primary_whatever_the_order_in_the_file() -> None:
    hops = hops_of([SYD, FRA, AMS], {}, None, {})
    assert {one.relationship.site: one.number for one in hops} == {"fra": 1, "ams": 2, "syd": 3}


def test_registries_with_other_primaries_do_not_lengthen_each_others_cascades() -> None:
    other = Relationship("other", "nyc", "second", "fra", "second")
    assert [one.number for one in hops_of([FRA, other], {}, None, {})] == [1, 1]


def test_each_transfer_counts_once_and_failed_ones_cost_too() -> None:
    records = [ended("t1"), ended("t1"), ended("t2", "started"), ended("t3", "failed", 7, minute=2)]
    traffic = traffic_of(records)["main.fra"]
    assert (traffic.transfers, traffic.failed, traffic.bytes_transferred) == (2, 1, 107)
    assert traffic.last == records[-1]


def test_a_relationship_without_transfers_had_none_but_only_where_that_is_known() -> None:
    (quiet,), (unread,) = hops_of([FRA], {}, {}, {}), hops_of([FRA], {}, None, {})
    assert quiet.as_json()["transfers"] == 0
    assert unread.as_json()["transfers"] is None
    assert not all_known([unread])


@pytest.mark.parametrize(
    ("known", "state"),
    [
        ({"lag": Lag(0, 0.0)}, "ok"),
        ({"lag": Lag(3, 0.0)}, "ok"),  # only other registries' events wait
        ({"lag": Lag(3, 12.0)}, "behind"),
        ({"lag": Lag(3, None)}, "unknown"),
        ({}, "unknown"),
        ({"lag": Lag(3, 12.0), "said": Said("transferring", 0, "3 offsets behind: …")}, "behind"),
        ({"lag": Lag(0, 0.0), "said": Said("stopped", 1, None)}, "trouble"),
        ({"said": Said("unknown", 2, "3 offsets behind: refused")}, "trouble"),
        ({"lag": Lag(3, 12.0), "traffic": traffic_of([ended("t", "failed")])["main.fra"]}, "trouble"),
        ({"lag": Lag(0, 0.0), "traffic": traffic_of([ended("t", "failed"), ended("u", minute=1)])["main.fra"]}, "ok"),
    ],
)
def test_a_state_is_what_is_known(known: dict[str, Any], state: str) -> None:
    assert hop(**known).state == state


def test_a_coalescer_that_says_all_is_well_outdoes_a_transfer_that_failed_before() -> None:
    failed = traffic_of([ended("t", "failed")])["main.fra"]
    assert hop(Lag(0, 0.0), failed, Said("idle", 0, None)).trouble is None


def test_what_is_not_known_is_called_so() -> None:
    cells = dict(zip(HEADINGS, hop().row(NOW), strict=True))
    assert {cells[name] for name in ("state", "lag: offsets", "oldest", "transfers", "bytes", "last")} == {"unknown"}


def test_a_row_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in "".join(hop(said=Said("stopped", 1, "\x1b[2J")).row(NOW))


def test_a_row_shows_ages_in_fitting_units() -> None:
    traffic = traffic_of([ended("t", size=1234567)])["main.fra"]
    cells = dict(zip(HEADINGS, hop(Lag(5, 8000.0), traffic).row(NOW + timedelta(minutes=3)), strict=True))
    assert (cells["oldest"], cells["bytes"], cells["last"]) == ("2 h", "1,234,567", "3 min ago")


@pytest.mark.parametrize("answer", [None, {}, [1], [{"relationship": "main.fra"}], [{"relationship": 1}], "x"])
def test_an_answer_that_is_no_coalescers_is_refused(answer: object) -> None:
    with pytest.raises(ValueError, match="not a list of relationships"):
        said_of(answer)


def test_a_coalescers_answer_is_taken_by_relationship() -> None:
    entry = {"relationship": "main.fra", "activity": "idle", "failures": 0, "why_behind": None, "more": 1}
    assert said_of([entry]) == {"main.fra": Said("idle", 0, None)}
