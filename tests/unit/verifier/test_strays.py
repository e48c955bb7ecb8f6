"""Whose arrivals a site's lanes take, pass over, or leave."""

from typing import Any, cast

import pytest

from farshore_verifier.site import Site

NOTHING: Any = None


def site(name: str, *registries: str, takes_strays: bool = False) -> Site:
    verifiers = dict.fromkeys(registries, NOTHING)
    others = frozenset({"fra", "syd"}) - {name}
    primaries = {"main": "nyc", "lab": "fra"}
    return Site(name, verifiers, {}, others, takes_strays, cast(Any, None), primaries)


@pytest.mark.parametrize(
    ("name", "takes_strays", "arrived_at", "taken"),
    [
        ("fra", True, "fra", True),
        ("fra", True, "syd", False),
        ("fra", True, "nyc", True),
        ("syd", False, "nyc", False),
        ("fra", True, "nowhere", True),
    ],
)
def test_one_site_takes_what_nobody_else_has(name: str, takes_strays: bool, arrived_at: str, taken: bool) -> None:
    assert site(name, "main", takes_strays=takes_strays).takes(arrived_at) is taken


def test_an_arrival_at_a_primary_that_moved_meanwhile_is_no_stray() -> None:
    here = site("fra", "main", "lab", takes_strays=True)
    assert here.leaves_to_its_own("main", "nyc")
    assert not here.leaves_to_its_own("main", "nowhere")
    assert not here.leaves_to_its_own("unknown", "nyc")
    assert not here.leaves_to_its_own("lab", "fra")  # the site's own lanes read it


def test_what_a_site_is_written_at_it_does_not_replicate() -> None:
    assert site("fra", "main", "lab").replicates == ["main"]
