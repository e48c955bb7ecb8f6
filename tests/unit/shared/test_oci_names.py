"""OCI names against the grammars of the image and distribution specifications, and against hostile text."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oci_names import components, digests, repositories, tags
from pydantic import BaseModel, TypeAdapter, ValidationError

from farshore.oci import Digest, InvalidNameError, Repository, Tag, image_name


class Names(BaseModel):
    digest: Digest
    repository: Repository
    tag: Tag


def is_component(text: str) -> bool:
    """`[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*`, told apart by hand: no regular expression is trusted to check another."""
    kinds = ["w" if letter in "abcdefghijklmnopqrstuvwxyz0123456789" else letter for letter in text]
    runs: list[str] = []
    for kind in kinds:
        if runs and runs[-1][0] == kind:
            runs[-1] += kind
        else:
            runs.append(kind)
    words = runs[0::2]
    separators = runs[1::2]
    return (
        len(runs) % 2 == 1
        and all(run[0] == "w" for run in words)
        and all(run in (".", "_", "__") or set(run) == {"-"} for run in separators)
    )


@given(repositories)
def test_every_repository_of_the_grammar_is_accepted(text: str) -> None:
    assert Repository.parse(text) == text


@given(st.text("ab01._-/A é", max_size=30))
def test_a_repository_is_accepted_exactly_when_each_component_is_one(text: str) -> None:
    expected = all(is_component(part) for part in text.split("/"))
    try:
        Repository.parse(text)
        accepted = True
    except InvalidNameError:
        accepted = False
    assert accepted is expected


@given(components())
def test_a_component_with_a_separator_at_an_end_or_two_kinds_in_a_row_is_refused(component: str) -> None:
    for text in (f"-{component}", f"{component}.", f"{component}._{component}", f"{component}/", f"/{component}"):
        with pytest.raises(InvalidNameError):
            Repository.parse(text)


@pytest.mark.parametrize(("length", "accepted"), [(1, True), (255, True), (256, False), (1_000_000, False), (0, False)])
def test_a_repository_has_1_to_255_characters(length: int, accepted: bool) -> None:
    if accepted:
        assert Repository.parse("a" * length)
    else:
        with pytest.raises(InvalidNameError):
            Repository.parse("a" * length)


@given(tags)
def test_every_tag_of_the_grammar_is_accepted(text: str) -> None:
    assert Tag.parse(text) == text


@pytest.mark.parametrize("text", ["", ".a", "-a", "a b", "a/b", "a:b", "a\n", "é", "a" * 129, "\u0661"])
def test_other_tags_are_refused(text: str) -> None:
    with pytest.raises(InvalidNameError):
        Tag.parse(text)


@given(digests)
def test_every_digest_of_an_algorithm_that_farshore_checks_is_accepted(text: str) -> None:
    digest = Digest.parse(text)
    assert f"{digest.algorithm}:{digest.hex}" == text


@given(digests, st.integers(min_value=0), st.sampled_from("gGA: \n\u0661"))
def test_a_digest_with_another_character_is_refused(text: str, place: int, wrong: str) -> None:
    place = len("sha256:") + place % (len(text) - len("sha256:"))
    for changed in (
        text[:place] + wrong + text[place + 1 :],
        text[:place] + text[place + 1 :],
        text + "0",
        text + "\n",
    ):
        with pytest.raises(InvalidNameError):
            Digest.parse(changed)


def test_digests_of_other_algorithms_are_refused_since_they_cant_be_checked() -> None:
    for text in ("md5:" + "0" * 32, "sha384:" + "0" * 96, "sha256+b64u:" + "0" * 64, "SHA256:" + "0" * 64):
        with pytest.raises(InvalidNameError):
            Digest.parse(text)


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_a_digest_matches_its_own_content_and_no_other(content: bytes, other: bytes) -> None:
    for digest in (Digest.of(content), Digest.parse(f"sha512:{hashlib.sha512(content).hexdigest()}")):
        assert digest.matches(content)
        assert digest.matches(other) == (content == other)


@given(digests, repositories, tags)
def test_names_stay_names_through_json(digest: str, repository: str, tag: str) -> None:
    names = Names.model_validate({"digest": digest, "repository": repository, "tag": tag})
    again = Names.model_validate_json(names.model_dump_json())
    assert again == names
    assert (type(again.digest), type(again.repository), type(again.tag)) == (Digest, Repository, Tag)


@given(st.text(max_size=300))
def test_any_text_is_a_name_or_an_error_of_bounded_length(text: str) -> None:
    for kind in (Digest, Repository, Tag):
        try:
            kind.parse(text)
        except InvalidNameError as error:
            shown = str(error)
        else:
            continue
        assert len(shown) < 2000


def test_a_wrong_name_in_json_is_a_validation_error_that_says_the_rule() -> None:
    with pytest.raises(ValidationError, match="not a tag: letters, digits"):
        TypeAdapter(Tag).validate_json('"-a"')


HOSTILE = [
    "a" * 254 + "!",
    "a-" * 127 + "!",
    "a_" * 127 + "!",
    "a__" * 84 + "!",
    "a--" * 84 + "!",
    "a/" * 127 + "!",
    "aaaaaaaaaa/" * 23 + "!",
    "a" + "-" * 253 + "!",
    "a.a_a-a/" * 31 + "!",
]


@pytest.mark.timeout(120)  # with backtracking, each of some hundred characters would double the work
@pytest.mark.parametrize("text", HOSTILE)
def test_the_longest_hostile_names_are_refused_without_backtracking(text: str) -> None:
    for _ in range(100):
        with pytest.raises(InvalidNameError):
            Repository.parse(text)


def test_names_are_shown_by_tag_where_there_is_one_and_else_by_digest() -> None:
    assert image_name("team/app", "sha256:0", "v1") == "team/app:v1"
    assert image_name("team/app", "sha256:0", None) == "team/app@sha256:0"
