"""Errors say what was tried, on what, why and what helps; secrets are read by reference and never shown."""

from pathlib import Path

import pytest

from farshore.errors import ConfigurationError, FarshoreError, RetryClass
from farshore.secrets import read_secret


def test_an_error_is_one_line_of_what_on_what_why_and_the_hint() -> None:
    error = FarshoreError("read", "topic x", "it is gone", retry=RetryClass.OPERATOR, hint="make it again")
    assert str(error) == "read topic x: it is gone (make it again)"
    assert str(FarshoreError("read", "topic x", "it is gone")) == "read topic x: it is gone"


def test_what_isnt_said_to_heal_is_final() -> None:
    assert FarshoreError("read", "x", "y").retry is RetryClass.FINAL


def test_a_secret_comes_from_a_variable_or_a_file_without_white_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARSHORE_TEST_SECRET", " from-the-variable\n")
    (tmp_path / "secret").write_text("from-the-file\n")
    assert read_secret("env:FARSHORE_TEST_SECRET") == "from-the-variable"
    assert read_secret(f"file:{tmp_path}/secret") == "from-the-file"


def test_a_secret_that_cant_be_read_is_named_by_its_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARSHORE_TEST_EMPTY", " \n")
    monkeypatch.delenv("FARSHORE_TEST_UNSET", raising=False)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "empty").touch()
    for reference, says in {
        "env:FARSHORE_TEST_UNSET": "the variable is not set",
        "env:FARSHORE_TEST_EMPTY": "it is empty",
        f"file:{tmp_path}/missing": "No such file or directory",
        f"file:{tmp_path}": "Is a directory",
        f"file:{tmp_path}/binary": "not UTF-8",
        f"file:{tmp_path}/empty": "it is empty",
        f"file:{tmp_path}/a\0b": "not a path",
    }.items():
        with pytest.raises(ConfigurationError, match=says) as caught:
            read_secret(reference)
        assert caught.value.subject == reference


@pytest.mark.parametrize("text", ["hunter2", "hunter2:", "vault:hunter2", "ENV:hunter2", ""])
def test_what_is_no_reference_is_refused_and_not_repeated_since_it_may_be_the_secret(text: str) -> None:
    with pytest.raises(ConfigurationError, match="env:NAME nor file:/path") as caught:
        read_secret(text)
    assert "hunter2" not in str(caught.value)
