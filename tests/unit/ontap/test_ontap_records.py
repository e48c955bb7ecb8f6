"""ONTAP's records become typed objects, whatever a cluster leaves out or invents."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farshore.ontap import parse
from farshore.ontap.model import JobState, RelationshipState, TransferState


def test_a_relationship_with_a_running_transfer() -> None:
    found = parse.relationship(
        {
            "uuid": "r",
            "state": "snapmirrored",
            "healthy": False,
            "unhealthy_reason": [{"code": "13303859", "message": "Transfer failed."}, {"message": "Twice."}],
            "source": {"path": "svm_nyc:main"},
            "destination": {"path": "svm_fra:main"},
            "exported_snapshot": "farshore-a1-0-17",
            "lag_time": "PT8H35M42S",
            "transfer": {"uuid": "t", "state": "transferring"},
        }
    )
    assert (found.state, found.healthy) == (RelationshipState.SNAPMIRRORED, False)
    assert found.unhealthy_reasons == ("Transfer failed.", "Twice.")
    assert (found.source_path, found.destination_path) == ("svm_nyc:main", "svm_fra:main")
    assert found.lag_seconds == 8 * 3600 + 35 * 60 + 42
    assert (found.transfer_uuid, found.transfer_state) == ("t", TransferState.TRANSFERRING)


def test_a_relationship_before_its_baseline_exports_nothing() -> None:
    found = parse.relationship({"uuid": "r", "state": "uninitialized", "exported_snapshot": ""})
    assert (found.exported_snapshot, found.lag_seconds, found.transfer_uuid, found.transfer_state) == (None,) * 4


def test_a_state_that_a_newer_release_invents_is_unknown_not_an_error() -> None:
    assert parse.relationship({"uuid": "r", "state": "levitating"}).state is RelationshipState.UNKNOWN
    assert parse.job({"uuid": "j", "state": "musing"}).state is JobState.UNKNOWN
    assert parse.transfer({"uuid": "t", "state": "teleporting"}).state is TransferState.UNKNOWN


def test_a_transfer_in_an_unknown_state_holds_the_relationship_until_it_has_an_end() -> None:
    assert parse.transfer({"uuid": "t", "state": "teleporting"}).active
    assert not parse.transfer({"uuid": "t", "state": "teleporting", "end_time": "2026-01-01T00:00:00Z"}).active


@pytest.mark.parametrize(
    ("word", "active"),
    [
        ("queued", True),
        ("transferring", True),
        ("success", False),
        ("failed", False),
        ("aborted", False),
        ("hard_aborted", False),
    ],
)
def test_only_queued_and_transferring_transfers_are_active(word: str, active: bool) -> None:
    assert parse.transfer({"uuid": "t", "state": word}).active is active


def test_a_failed_transfer_carries_its_code_as_a_number() -> None:
    found = parse.transfer(
        {
            "uuid": "t",
            "state": "failed",
            "end_time": "2026-11-24T10:00:00+01:00",
            "error_info": {"code": 13303892, "message": "peer"},
        }
    )
    assert (found.error_code, found.error_message) == (13303892, "peer")
    assert found.end_time == datetime(2026, 11, 24, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "code"), [("525059", 525059), (4, 4), ("0", None), (0, None), (None, None), ("x", None)]
)
def test_codes_are_strings_in_replies_and_numbers_in_jobs(value: object, code: int | None) -> None:
    assert parse.code_of(value) == code


def test_a_failed_job_tells_its_errors_own_message() -> None:
    found = parse.job({"uuid": "j", "state": "failure", "message": "x", "error": {"code": "525062", "message": "full"}})
    assert (found.finished, found.code, found.message) == (True, 525062, "full")


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=4000)))
def test_any_lag_is_read_back_in_seconds(lag: timedelta) -> None:
    minutes, seconds = divmod(lag.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"P{lag.days}DT{hours}H{minutes}M{seconds}.{lag.microseconds:06}S"
    assert parse.seconds_of(text) == pytest.approx(lag.total_seconds())


def test_a_lag_of_months_is_read_too() -> None:
    assert parse.seconds_of("P1Y2M1WT1S") == (365 + 60 + 7) * 86_400 + 1


@pytest.mark.parametrize("text", ["", "P", "PT", "5S", "PT5", "P1D2M", "-PT5S"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        parse.seconds_of(text)


def test_a_peer_can_be_used_when_it_is_available_for_snapmirror() -> None:
    good = {"uuid": "p", "name": "nyc", "status": {"state": "available"}, "peer_applications": ["snapmirror"]}
    assert parse.cluster_peer(good).usable
    assert not parse.cluster_peer({**good, "status": {"state": "unavailable"}}).usable
    svm = {"uuid": "s", "state": "peered", "applications": ["snapmirror"], "svm": {"name": "svm_fra"}}
    assert parse.svm_peer(svm).usable
    assert not parse.svm_peer({**svm, "applications": ["flexcache"]}).usable
