"""What a topology becomes when a primary moves, and how its file is rewritten."""

from pathlib import Path

import pytest

from farshore.errors import ConfigurationError
from farshore.topology import Topology, parse_topology
from farshore_cli.moving.rewrite import rewritten
from farshore_cli.moving.successor import successor, way_to_primary

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"

HEAD = """# everything we have
version: 1
sites:
"""
TREE = (
    HEAD
    + "".join(
        f"  {site}: {{model: cloud, ontap: {{url: 'https://{site}', password: 'env:X', svm: s}}}}\n"
        for site in ("nyc", "fra", "mil", "ath", "syd", "akl")
    )
    + """
registries:
  main:   # the one
    prefix: ""
    primary:
      site: nyc        # where it began
      volume: main_nyc
      url: "http://nyc:5000"
      ca_file: /etc/nyc.pem
    replicas:
      - site: fra      # first of all
        volume: main_fra
        url: http://fra:5000
      - via: fra
        site: mil
        volume: main_mil
        url: http://mil:5000
      - {site: ath, volume: main_ath, url: http://ath:5000, via: mil, ca_file: /etc/ath.pem}
      - {site: syd, volume: main_syd, url: http://syd:5000}
      - site: akl
        volume: main_akl
        url: http://akl:5000
        via: syd
    notifications: {tokens: [env:X]}   # no secret here
"""
)


def feeds(topology: Topology) -> dict[str, str]:
    return {one.site: one.source_site for one in topology.relationships("main")}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("fra", {"nyc": "fra", "mil": "fra", "ath": "mil", "syd": "fra", "akl": "syd"}),
        ("mil", {"fra": "mil", "nyc": "fra", "ath": "mil", "syd": "mil", "akl": "syd"}),
        ("ath", {"mil": "ath", "fra": "mil", "nyc": "fra", "syd": "ath", "akl": "syd"}),
        ("akl", {"syd": "akl", "nyc": "syd", "fra": "akl", "mil": "fra", "ath": "mil"}),
    ],
)
def test_the_way_to_the_new_primary_turns_around_and_the_rest_follows(target: str, expected: dict[str, str]) -> None:
    after = successor(parse_topology(TREE, "test"), "main", target)
    assert feeds(after) == expected
    registry = after.registries["main"]
    assert (registry.primary.site, registry.primary.volume, registry.epoch) == (target, f"main_{target}", 2)
    assert way_to_primary(after, "main", "nyc")[-1] == target


@pytest.mark.parametrize("target", ["fra", "mil", "ath", "syd", "akl"])
def test_the_file_says_it_and_keeps_what_its_author_wrote(target: str) -> None:
    before = parse_topology(TREE, "test")
    after = successor(before, "main", target)
    text = rewritten(TREE, "test", "main", after)
    assert parse_topology(text, "test") == after
    for comment in ("# everything we have", "# the one", "# where it began", "# first of all", "# no secret here"):
        assert comment in text
    again = successor(after, "main", "nyc")
    assert parse_topology(rewritten(text, "test", "main", again), "test") == again


@pytest.mark.parametrize("target", ["syd", "ath"])
def test_there_and_back_again_is_the_same_where_nothing_hung_below_the_target(target: str) -> None:
    text = TREE.replace("        via: syd\n", "")
    before = parse_topology(text, "test")
    back = successor(successor(before, "main", target), "main", "nyc")
    assert feeds(back) == feeds(before)
    assert back.registries["main"].epoch == 3


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_can_be_moved_to_each_of_its_replicas(path: Path) -> None:
    text = path.read_text()
    before = parse_topology(text, path.name)
    for name, registry in before.registries.items():
        for replica in registry.replicas:
            after = successor(before, name, replica.site)
            new = rewritten(text, path.name, name, after)
            assert parse_topology(new, path.name) == after
            kept = [line for line in text.splitlines() if line.lstrip().startswith("#")]
            assert [line for line in new.splitlines() if line.lstrip().startswith("#")] == kept


def test_a_file_that_somebody_changed_meanwhile_is_left_alone() -> None:
    after = successor(parse_topology(TREE, "test"), "main", "fra")
    with pytest.raises(ConfigurationError, match="can't be changed place by place"):
        rewritten(TREE.replace("main_akl", "other"), "test", "main", after)


def test_what_is_the_places_own_goes_with_it() -> None:
    after = successor(parse_topology(TREE, "test"), "main", "ath").registries["main"]
    assert after.primary.ca_file == "/etc/ath.pem"
    old = after.replica("nyc")
    assert old is not None
    assert old.ca_file == "/etc/nyc.pem"


def test_only_a_replica_can_become_the_primary() -> None:
    with pytest.raises(ValueError, match="no replica"):
        successor(parse_topology(TREE, "test"), "main", "nyc")
