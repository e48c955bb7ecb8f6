"""When a registry wants to be asked again."""

import pytest

from farshore.registry.retry_after import LONGEST_SECONDS, retry_after_seconds

DATE = "Tue, 24 Nov 2026 21:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": " 7 "}, 7),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "Tue, 24 Nov 2026 21:00:30 GMT", "Date": DATE}, 30),
        ({"Retry-After": "Tue, 24 Nov 2026 20:00:30 GMT", "Date": DATE}, 0),
    ],
)
def test_seconds_and_dates_are_understood(headers: dict[str, str], seconds: float) -> None:
    assert retry_after_seconds(headers) == seconds


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "9" * 5000}, {"Retry-After": "Tue, 24 Nov 2099 21:00:00 GMT", "Date": DATE}]
)
def test_nobody_is_waited_for_for_ever(headers: dict[str, str]) -> None:
    assert retry_after_seconds(headers) == LONGEST_SECONDS


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Retry-After": ""},
        {"Retry-After": "-5"},
        {"Retry-After": "1.5"},
        {"Retry-After": "soon", "Date": DATE},
        {"Retry-After": "²"},
        {"Retry-After": "Tue, 24 Nov 2026 21:00:30 GMT"},
        {"Retry-After": "Tue, 24 Nov 2026 21:00:30 -0000", "Date": DATE},
    ],
)
def test_nonsense_asks_for_no_pause(headers: dict[str, str]) -> None:
    assert retry_after_seconds(headers) == 0
