"""Which snapshots cross, and which are given up."""

from datetime import UTC, datetime, timedelta

import pytest

from farshore_ontap_simulator.errors import BUSY_TEXT, OntapError, busy
from farshore_ontap_simulator.model.records import Policy, Retention
from farshore_ontap_simulator.transfer import plan
from farshore_ontap_simulator.transfer.plan import Offered

START = datetime(2026, 11, 24, tzinfo=UTC)
ALL = Policy(uuid="p", name="all", copy_all_source_snapshots=True)
LATEST = Policy(uuid="p", name="latest", copy_latest_source_snapshot=True)
VAULT = Policy(uuid="p", name="vault", retention=(Retention(label="daily", count=2),))


def snapshots(*names: str, label: str = "") -> list[Offered]:
    """Snapshots in this order; a name is its version uuid too."""
    return [
        Offered(name=name, version_uuid=name, create_time=START + timedelta(seconds=at), label=label)
        for at, name in enumerate(names)
    ]


def names(offered: list[Offered]) -> list[str]:
    return [item.name for item in offered]


def test_a_policy_for_all_sends_what_is_newer_than_the_common_one() -> None:
    source = snapshots("a", "b", "c", "d")
    assert names(plan.select(ALL, source, {"b"}, None)) == ["c", "d"]
    assert names(plan.select(ALL, source, set(), None)) == ["a", "b", "c", "d"]
    assert names(plan.select(ALL, source, {"d"}, None)) == ["d"]


def test_a_policy_for_the_latest_sends_just_that() -> None:
    assert names(plan.select(LATEST, snapshots("a", "b", "c"), {"a"}, None)) == ["c"]


def test_a_policy_with_retention_sends_its_labels_and_the_newest() -> None:
    source = [*snapshots("a"), *snapshots("b", "c", label="daily"), *snapshots("d")]
    assert names(plan.select(VAULT, source, {"b"}, None)) == ["c", "d"]


def test_a_named_snapshot_is_sent_alone_under_any_policy() -> None:
    assert names(plan.select(ALL, snapshots("a", "b", "c"), set(), "b")) == ["b"]


def test_a_source_without_snapshots_has_nothing_to_send() -> None:
    with pytest.raises(OntapError):
        plan.select(ALL, [], set(), None)


def test_retiring_follows_the_policy() -> None:
    mine = snapshots("a", "b", "c")
    assert names(plan.retire(ALL, mine, {"b", "c"}, "c")) == ["a"]
    assert names(plan.retire(LATEST, mine, {"a", "b", "c"}, "c")) == ["a", "b"]
    daily = [*snapshots("w", "x", "y", label="daily"), *snapshots("z")]
    assert names(plan.retire(VAULT, daily, set(), "z")) == ["w"]


def test_what_cannot_work_is_refused_with_the_code_of_the_call() -> None:
    source = snapshots("a", "b", "c")

    def refused(destination: set[str], requested: str | None, *, initialize: bool = False) -> str:
        with pytest.raises(OntapError) as refusal:
            plan.check(source, destination, initialize=initialize, requested=requested, code=13303844)
        assert refusal.value.code == 13303844
        return refusal.value.message

    assert "No common snapshot" in refused({"z"}, None)
    assert "does not exist" in refused({"a"}, "z")
    assert "older" in refused({"b"}, "a")
    assert "does not exist" in refused(set(), "z", initialize=True)
    plan.check(source, {"b"}, initialize=False, requested="b", code=13303844)
    plan.check(source, set(), initialize=True, requested=None, code=13303844)


@pytest.mark.parametrize("code", [13303844, 13303812, 13303808])
def test_a_busy_relationship_says_so_in_words(code: int) -> None:
    error = busy(code, "svm:v")
    assert error.body()["error"]["code"] == str(code)
    assert BUSY_TEXT in error.body()["error"]["message"]
