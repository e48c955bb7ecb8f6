"""Bearer tokens: rotation, files, and who may post."""

import os
from pathlib import Path

import pytest

from farshore.errors import ConfigurationError
from farshore_receiver.authenticate import Access, authenticate, bearer_token
from farshore_receiver.tokens import Tokens


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text("old-token\n\n  new-token  \n")
    return path


def test_each_line_of_a_file_is_a_token(token_file: Path) -> None:
    tokens = Tokens({"main": [f"file:{token_file}"]})
    assert tokens.opens(b"old-token") == tokens.opens(b"new-token") == {"main"}
    assert not tokens.opens(b"")
    assert not tokens.opens(b"old-token\n\n  new-token")


def test_a_registry_may_have_several_sources_and_a_token_several_registries(
    token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "new-token")
    tokens = Tokens({"main": [f"file:{token_file}", "env:SOME_TOKEN"], "team": ["env:SOME_TOKEN"]})
    assert tokens.opens(b"new-token") == {"main", "team"}
    assert tokens.opens(b"old-token") == {"main"}


@pytest.mark.parametrize("replace", [True, False], ids=["replaced", "rewritten"])
def test_a_changed_file_is_read_again_within_a_second(token_file: Path, tmp_path: Path, replace: bool) -> None:
    clock = Clock()
    tokens = Tokens({"main": [f"file:{token_file}"]}, monotonic=clock)
    if replace:
        (tmp_path / "next").write_text("third-token")
        (tmp_path / "next").rename(token_file)
    else:
        token_file.write_text("third-token")
    assert tokens.opens(b"old-token") == {"main"}
    clock.now += 1.0
    assert tokens.opens(b"third-token") == {"main"}
    assert not tokens.opens(b"old-token")


def test_a_symbolic_link_that_moves_is_a_change(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"token-{name}")
        os.utime(tmp_path / name, (1, 1))
    link = tmp_path / "current"
    link.symlink_to("a")
    clock = Clock()
    tokens = Tokens({"main": [f"file:{link}"]}, monotonic=clock)
    (tmp_path / "next").symlink_to("b")
    (tmp_path / "next").rename(link)
    clock.now += 1.0
    assert tokens.opens(b"token-b") == {"main"}


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"], ids=["gone", "empty", "not text"])
def test_a_file_that_breaks_leaves_the_old_tokens_in_force(token_file: Path, content: bytes | None) -> None:
    clock = Clock()
    tokens = Tokens({"main": [f"file:{token_file}"]}, monotonic=clock)
    if content is None:
        token_file.unlink()
    else:
        token_file.write_bytes(content)
    clock.now += 1.0
    assert tokens.opens(b"old-token") == {"main"}
    token_file.write_text("mended-token")
    clock.now += 1.0
    assert tokens.opens(b"mended-token") == {"main"}


@pytest.mark.parametrize("reference", ["env:NOT_SET_ANYWHERE", "file:/nowhere/tokens"])
def test_a_reference_that_cannot_be_read_at_the_start_is_an_error(reference: str) -> None:
    with pytest.raises(ConfigurationError, match=reference.partition(":")[2]):
        Tokens({"main": [reference]})


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (b"Bearer abc", b"abc"),
        (b"bearer  abc ", b"abc"),
        (b"Basic abc", None),
        (b"Bearer", None),
        (b"Bearer ", None),
        (b"abc", None),
        (b"", None),
        (b"Bearer " + b"a" * 5000, None),
    ],
)
def test_only_a_bearer_header_has_a_token(header: bytes, token: bytes | None) -> None:
    assert bearer_token([(b"authorization", header)]) == token


def test_two_authorization_headers_are_none() -> None:
    assert bearer_token([(b"authorization", b"Bearer abc")] * 2) is None


@pytest.mark.parametrize(
    ("token", "registry", "access"),
    [
        (b"one", "main", Access.GRANTED),
        (b"one", "team", Access.OTHER_REGISTRY),
        (b"one", "none", Access.UNKNOWN_REGISTRY),
        (b"bad", "none", Access.WRONG_TOKEN),
        (b"bad", "main", Access.WRONG_TOKEN),
    ],
)
def test_names_of_registries_are_told_only_to_who_has_a_token(
    token: bytes, registry: str, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_ONE", "one")
    monkeypatch.setenv("TOKEN_TWO", "two")
    tokens = Tokens({"main": ["env:TOKEN_ONE"], "team": ["env:TOKEN_TWO"]})
    headers = [(b"authorization", b"Bearer " + token)]
    assert authenticate(headers, registry, {"main", "team"}, tokens) is access
