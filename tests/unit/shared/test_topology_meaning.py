"""What a good topology means: durations, relationships, urgent patterns, addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farshore.topology import Batching, Relationship, Topology, parse_topology
from farshore.topology.fields import format_duration, parse_duration

TEXT = """\
version: 1
sites:
  nyc: {model: on-prem, ontap: {url: "https://nyc.example/", password: "env:NYC", svm: svm1, timeout: 2.5s}}
  fra: {model: adjacent, ontap: {url: "https://[2001:db8::1]:8443", password: "env:FRA", svm: svm1}}
  syd: {model: cloud, ontap: {url: "https://syd.example", password: "env:SYD", svm: svm1}}
registries:
  main:
    primary: {site: nyc, volume: vol_main, url: "http://nyc.example:5000"}
    replicas:
      - {site: fra, volume: copy_main, url: "http://fra.example:5000"}
      - {site: syd, volume: copy_main, url: "http://syd.example:5000", via: fra}
    notifications: {tokens: ["env:MAIN_TOKEN"]}
    batching: {min_interval: 1m, max_wait: 5m}
    objectives: {ready_within: 1h}
"""


@pytest.fixture
def topology() -> Topology:
    return parse_topology(TEXT, "t.yaml")


def test_a_cascade_reads_from_its_upstream_site_and_the_others_from_the_primary(topology: Topology) -> None:
    assert topology.relationships("main") == [
        Relationship("main", "fra", "copy_main", "nyc", "vol_main"),
        Relationship("main", "syd", "copy_main", "fra", "copy_main"),
    ]


def test_a_relationship_is_named_by_registry_and_site_and_so_is_its_consumer_group(topology: Topology) -> None:
    relationship = topology.relationships("main")[1]
    assert relationship.name == "main.syd"
    assert relationship.consumer_group == "farshore.coalescer.main.syd"


def test_a_registry_has_a_place_only_where_it_is(topology: Topology) -> None:
    places = [topology.registries["main"].place_at(site) for site in ("nyc", "syd", "rio")]
    assert [place and place.url for place in places] == ["http://nyc.example:5000", "http://syd.example:5000", None]


def test_durations_are_seconds_in_the_program(topology: Topology) -> None:
    registry = topology.registries["main"]
    assert topology.sites["nyc"].ontap.timeout == 2.5
    assert (registry.batching.min_interval, registry.batching.max_wait) == (60.0, 300.0)
    assert (registry.batching.settle, registry.objectives.ready_within) == (0.25, 3600.0)


def test_a_slash_at_an_addresss_end_makes_no_difference(topology: Topology) -> None:
    assert topology.sites["nyc"].ontap.url == "https://nyc.example"
    assert topology.sites["fra"].ontap.url == "https://[2001:db8::1]:8443"


def test_what_is_written_as_json_is_the_same_topology(topology: Topology) -> None:
    assert parse_topology(topology.model_dump_json(exclude_none=True), "t.json") == topology


@given(st.floats(min_value=0, max_value=1e9).map(lambda seconds: round(seconds, 6)))
def test_a_duration_survives_being_written(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.25, "250ms"), (30, "30s"), (90, "90s"), (900, "15m"), (86400, "1d")]
)
def test_a_duration_is_written_in_the_largest_unit_without_a_fraction(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("image", "urgent"),
    [
        ("prod/app:v1", True),
        ("prod/team/app:v1", True),
        ("team/app:release-7", True),
        ("team/prod/app:v1", False),
        ("PROD/app:v1", False),
        ("team/app:v1-release-7", False),
        ("prod/app@sha256:" + "0" * 64, True),
    ],
)
def test_urgent_patterns_match_the_whole_image_name_and_case_counts(image: str, urgent: bool) -> None:
    assert Batching(urgent=["prod/*", "*:release-*"]).is_urgent(image) is urgent


def test_nothing_is_urgent_without_patterns() -> None:
    assert not Batching().is_urgent("prod/app:v1")


def test_an_urgent_pattern_of_many_stars_ends() -> None:
    assert not Batching(urgent=["*a" * 60 + "b"]).is_urgent("a" * 255)
