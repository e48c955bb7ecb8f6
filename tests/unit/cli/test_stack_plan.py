"""The pure parts of the local stack: ports, topology, configuration, endpoints."""

from pathlib import Path

import pytest
import yaml

from farshore.errors import ConfigurationError
from farshore.topology import parse_topology
from farshore_cli.stack.endpoints import endpoints
from farshore_cli.stack.layout import Layout
from farshore_cli.stack.parts import all_part_names
from farshore_cli.stack.ports import Ports, port_names, ports_again, ports_from, remembered_ports
from farshore_cli.stack.registry_config import NotificationTarget, registry_config
from farshore_cli.stack.takers import takers
from farshore_cli.stack.topology_text import Standing, standing_of, topology_text
from farshore_cli.supervisor import Process
from farshore_edge.render import render

LAYOUT = Layout(Path("/state"))
PORTS = ports_from(20_000, lambda port: True)


def test_ports_from_a_base_are_consecutive_and_all_different() -> None:
    assert sorted(PORTS.by_name.values()) == list(range(20_000, 20_000 + len(port_names())))


def test_a_port_in_use_is_named_with_the_part_that_wanted_it() -> None:
    with pytest.raises(ConfigurationError, match=r"20000 \(kafka\)"):
        ports_from(20_000, lambda port: port != 20_000)


@pytest.mark.parametrize("base", [80, 65_530])
def test_a_base_that_leaves_the_range_of_ports_is_refused(base: int) -> None:
    with pytest.raises(ConfigurationError):
        ports_from(base, lambda port: True)


def test_the_next_run_uses_the_same_ports() -> None:
    assert ports_again(PORTS.by_name, lambda port: True, lambda count: range(30_000, 30_000 + count)) == PORTS


def test_only_a_port_that_was_taken_meanwhile_is_replaced_and_never_by_one_that_is_kept() -> None:
    taken = PORTS.by_name["receiver"]
    other = {name: port for name, port in PORTS.by_name.items() if name != "receiver"}
    again = ports_again(PORTS.by_name, lambda port: port != taken, lambda count: [*other.values(), 31_000])
    assert again.by_name == {**other, "receiver": 31_000}


@pytest.mark.parametrize("content", [None, "", "{", "[1]", '{"kafka": "x"}'])
def test_a_damaged_or_absent_ports_file_is_as_none(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ports.json"
    if content is not None:
        file.write_text(content)
    assert remembered_ports(file) == {}


def test_the_generated_topology_is_accepted_and_has_an_edge_for_every_site() -> None:
    topology = parse_topology(topology_text(LAYOUT, PORTS, Standing()), "test")
    assert [topology.sites[site].model for site in ("nyc", "fra", "syd")] == ["on-prem", "adjacent", "cloud"]
    assert [relationship.name for relationship in topology.relationships("main")] == ["main.fra", "main.syd"]
    for site in topology.sites:
        assert PORTS.address(f"edge-{site}") in render(topology, site)


def test_the_next_start_keeps_where_a_move_left_the_registry() -> None:
    moved = parse_topology(topology_text(LAYOUT, PORTS, Standing("syd", 7)), "test")
    assert standing_of(moved) == Standing("syd", 7)
    assert [one.name for one in moved.relationships("main")] == ["main.nyc", "main.fra"]
    elsewhere = topology_text(LAYOUT, PORTS, Standing()).replace("site: nyc", "site: lax").replace("nyc:", "lax:")
    assert standing_of(parse_topology(elsewhere, "test")) is None


@pytest.mark.parametrize(
    ("primary", "target", "writable", "now", "expected"),
    [
        ("nyc", "", False, {"nyc"}, {"nyc"}),
        ("nyc", "fra", False, {"nyc"}, {"nyc"}),  # held, and not broken off yet
        ("nyc", "fra", True, {"nyc"}, {"nyc", "fra"}),
        ("fra", "fra", True, {"nyc", "fra"}, {"nyc", "fra"}),  # switched: edges that don't follow yet read at nyc
        ("fra", "", False, {"nyc", "fra"}, {"fra"}),
        ("nyc", "", False, {"nyc", "fra"}, {"nyc"}),  # it went back
    ],
)
def test_a_registry_takes_writes_once_its_volume_does_and_none_is_taken_away_while_they_are_held(
    primary: str, target: str, writable: bool, now: set[str], expected: set[str]
) -> None:
    assert takers(primary, target, target_is_writable=writable, now=now) == expected


def test_no_secret_stands_in_the_topology() -> None:
    text = topology_text(LAYOUT, PORTS, Standing())
    assert yaml.safe_load(text)["sites"]["nyc"]["ontap"]["password"] == "file:/state/secrets/ontap-nyc"


def test_a_replicas_registry_refuses_writes_and_posts_no_notifications() -> None:
    config = yaml.safe_load(registry_config(Path("/v"), "127.0.0.1:1", "s", read_only=True))
    assert config["storage"]["maintenance"]["readonly"] == {"enabled": True}
    assert "notifications" not in config
    assert "delete" not in config["storage"]


def test_the_primarys_registry_posts_with_its_token_and_allows_deletes() -> None:
    target = NotificationTarget("http://receiver/v1/notifications/main", "t0ken")
    config = yaml.safe_load(registry_config(Path("/v"), "127.0.0.1:1", "s", read_only=False, notify=target))
    endpoint = config["notifications"]["endpoints"][0]
    assert endpoint["url"] == target.url
    assert endpoint["headers"] == {"Authorization": ["Bearer t0ken"]}
    assert config["storage"]["delete"] == {"enabled": True}
    assert "readonly" not in config["storage"]["maintenance"]


@pytest.mark.parametrize("read_only", [True, False])
def test_no_registry_keeps_a_cache_or_prints_its_token(read_only: bool) -> None:
    notify = None if read_only else NotificationTarget("http://receiver", "t0ken")
    config = yaml.safe_load(registry_config(Path("/v"), "127.0.0.1:1", "s", read_only=read_only, notify=notify))
    assert "cache" not in config["storage"]
    assert config["log"]["level"] == "warn"


def test_endpoints_say_where_everything_is() -> None:
    process = Process("coalescer", None, 4711, "/state/logs/coalescer.log")
    document = endpoints(LAYOUT, PORTS, {"nyc": "a", "fra": "b", "syd": "c"}, [process], "fra")
    assert document["topology"] == "/state/topology.yaml"
    assert document["holds"] == "/state/edges/{site}/holds"
    assert document["kafka"] == {"bootstrap_servers": "127.0.0.1:20000"}
    assert document["receiver"]["url"].startswith("http://127.0.0.1:")
    assert document["sites"]["fra"]["role"] == "primary"
    assert {document["sites"][site]["role"] for site in ("nyc", "syd")} == {"replica"}
    assert document["sites"]["syd"]["path"] == "/state/clusters/syd/export/svm_syd/registry"
    assert document["sites"]["fra"]["ontap"] == {
        "url": PORTS.url("ontap-fra"),
        "username": "admin",
        "password": "b",
        "svm": "svm_fra",
        "volume": "registry",
    }
    assert document["processes"] == [
        {"name": "coalescer", "site": None, "pid": 4711, "log": "/state/logs/coalescer.log"}
    ]


def test_every_port_is_somebodys() -> None:
    assert len(set(Ports(PORTS.by_name).by_name.values())) == len(port_names())


def test_each_further_instance_has_a_port_and_the_others_keep_theirs() -> None:
    three = ports_from(20_000, lambda port: True, port_names(3))
    further = {"coalescer-2", "coalescer-3", "verifier-2", "verifier-3"}
    assert set(three.by_name) - set(PORTS.by_name) == further
    assert {name: port for name, port in three.by_name.items() if name not in further} == PORTS.by_name
    assert set(all_part_names(3)) - set(all_part_names()) == further
