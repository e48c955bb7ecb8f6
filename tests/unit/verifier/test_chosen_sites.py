"""Which sites a verifier looks after."""

import pytest

from farshore.errors import ConfigurationError
from farshore_verifier.settings import VerifierSettings

REPLICATED = ["fra", "sin", "syd"]


def test_all_without_a_choice() -> None:
    assert VerifierSettings().chosen(REPLICATED) == REPLICATED


def test_those_that_are_named() -> None:
    assert VerifierSettings(sites=" syd,fra,").chosen(REPLICATED) == ["fra", "syd"]


def test_one_without_a_replica_is_refused_at_the_start_and_names_the_setting() -> None:
    with pytest.raises(ConfigurationError, match=r"FARSHORE_VERIFIER_SITES.*no replica at nyc.*fra, sin, syd"):
        VerifierSettings(sites="fra,nyc").chosen(REPLICATED)


def test_one_that_was_taken_out_meanwhile_leaves_the_others() -> None:
    assert VerifierSettings(sites="fra,nyc").chosen(REPLICATED, strict=False) == ["fra"]
