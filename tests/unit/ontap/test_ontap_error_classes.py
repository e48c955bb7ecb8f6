"""Every refusal has one of four classes, and a person is told what to do about those that need one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farshore.errors import RetryClass
from farshore.ontap.errors import BY_TEXT, TABLE, Call, OntapError, classify, hint_for

SOON, REDISCOVER, FINAL, OPERATOR = (
    RetryClass.RETRY_SOON,
    RetryClass.REDISCOVER,
    RetryClass.FINAL,
    RetryClass.OPERATOR,
)
CHANGES = [call for call in Call if call is not Call.READ]


@pytest.mark.parametrize(
    ("call", "codes", "expected"),
    [
        (Call.TRANSFER_POST, [6619720, 13303816, 13304159, 6620237, 6620238], SOON),
        (Call.TRANSFER_POST, [13303847], FINAL),
        (Call.TRANSFER_PATCH, [13303849], REDISCOVER),
        (Call.RELATIONSHIP_PATCH, [13303830, 6619715, 13303823, 13303824], SOON),
        (Call.RELATIONSHIP_PATCH, [13303817, 13303818, 13303829, 13303831, 13303833, 13303832], REDISCOVER),
        (Call.RELATIONSHIP_PATCH, [6619546, 13304120], FINAL),
        (Call.RELATIONSHIP_PATCH, [13304062, 13304003, 13304086], OPERATOR),
        (Call.RELATIONSHIP_POST, [6619637], REDISCOVER),
        (Call.RELATIONSHIP_POST, [6619441, 13303821, 13303819, 13303866, 13303996], FINAL),
        (Call.RELATIONSHIP_POST, [13303886, 13303939, 13303892, 13303875], OPERATOR),
        (Call.RELATIONSHIP_DELETE, [13303813, 13303822], SOON),
        (Call.SNAPSHOT_POST, [525059], REDISCOVER),
        (Call.SNAPSHOT_POST, [525062, 524479], OPERATOR),
        (Call.SNAPSHOT_POST, [1638461, 1638518], FINAL),
        (Call.SNAPSHOT_POST, [1638532, 1638537], SOON),
        (Call.SNAPSHOT_DELETE, [1638543], SOON),
        (Call.SNAPSHOT_DELETE, [1638600, 1638538], REDISCOVER),
        (Call.VOLUME_POST, [917526], REDISCOVER),
        (Call.VOLUME_POST, [917508, 918242, 917534, 917887, 918252], FINAL),
        (Call.VOLUME_POST, [917536], SOON),
    ],
)
@pytest.mark.parametrize("status", [None, 400, 409, 500])
def test_a_known_code_has_its_class_whatever_the_http_status(
    call: Call, codes: list[int], expected: RetryClass, status: int | None
) -> None:
    assert {classify(call, code, status, "refused") for code in codes} == {expected}


@pytest.mark.parametrize("call", [Call.TRANSFER_POST, Call.RELATIONSHIP_PATCH])
def test_a_running_transfer_is_waited_for(call: Call) -> None:
    message = 'SnapMirror update on relationship "svm:v" failed. (Another transfer is in progress)'
    assert {classify(call, code, 409, message) for code in BY_TEXT[call]} == {SOON}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Update failed (the relationship is quiesced)", REDISCOVER),
        ("Update failed (destination is not initialized)", REDISCOVER),
        ('Update failed (snapshot "farshore-a-0-7" not found on the source)', REDISCOVER),
        ("Resync failed (No common Snapshot copy found between source and destination)", OPERATOR),
        ("Resync failed (no common snapshot)", OPERATOR),
        ('Update failed (Volume "svm:peers" is offline.)', OPERATOR),
        ("Initialize failed (the clusters are not peered)", OPERATOR),
    ],
)
def test_a_failure_by_text_is_read_on_in_its_message(message: str, expected: RetryClass) -> None:
    assert classify(Call.TRANSFER_POST, 13303844, 400, message) is expected


@pytest.mark.parametrize("call", list(Call))
def test_credentials_and_roles_need_an_operator(call: Call) -> None:
    assert classify(call, None, 401, "") is OPERATOR
    assert classify(call, None, 403, "") is OPERATOR
    assert classify(call, 6691623, 400, "User is not authorized.") is OPERATOR
    assert "password" in hint_for(OPERATOR, 6691623, "User is not authorized.")


@pytest.mark.parametrize("call", list(Call))
def test_what_is_gone_is_looked_for_again(call: Call) -> None:
    assert classify(call, 4, 404, "entry doesn't exist") is REDISCOVER
    assert classify(call, 4, 400, "entry doesn't exist") is REDISCOVER
    assert classify(call, None, 404, "") is REDISCOVER


@pytest.mark.parametrize("call", list(Call))
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, None])
def test_an_overloaded_or_silent_cluster_is_tried_again(call: Call, status: int | None) -> None:
    assert classify(call, None, status, "") is SOON


@given(code=st.integers(min_value=10**9), status=st.sampled_from([400, 409, 422, None]))
def test_an_unknown_refusal_of_a_read_is_tried_again_but_never_a_change_for_ever(code: int, status: int | None) -> None:
    assert classify(Call.READ, code, status, "new in this release") is SOON
    expected = FINAL if status == 400 else REDISCOVER
    assert {classify(call, code, status, "new in this release") for call in CHANGES} == {expected}


def test_a_code_means_nothing_for_another_call() -> None:
    assert classify(Call.SNAPSHOT_POST, 525062, 400, "") is OPERATOR
    assert classify(Call.VOLUME_POST, 525062, 400, "") is FINAL


def test_every_refusal_that_stops_a_relationship_tells_what_to_do() -> None:
    silent = [
        (call, code)
        for call, codes in TABLE.items()
        for code, retry in codes.items()
        if retry in (FINAL, OPERATOR) and not hint_for(retry, code, "")
    ]
    assert silent == []


def test_an_error_says_what_was_tried_on_what_why_and_what_helps() -> None:
    error = OntapError(
        "create snapshot",
        "farshore-a-0-7 at nyc",
        "no more [525062]",
        retry=OPERATOR,
        hint=hint_for(OPERATOR, 525062, ""),
        code=525062,
    )
    assert str(error) == (
        "create snapshot farshore-a-0-7 at nyc: no more [525062] "
        "(delete snapshots of the volume: ONTAP keeps 1,023 at most)"
    )
