"""docs/topology.md, its schema and its examples say what the model says."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from farshore.topology import Topology, TopologyError, load_topology, parse_topology
from farshore.topology.reference import BEGIN, END, PAGE, SCHEMA_FILE, json_schema, key_tables

DOCS = Path(__file__).parents[3] / "docs"
EXAMPLES = sorted((DOCS / "examples").glob("*.yaml"))
UPDATE = "run: python -m farshore.topology.reference docs"


def schema() -> Draft202012Validator:
    return Draft202012Validator(json.loads(json_schema()))


def test_the_schema_file_is_the_models() -> None:
    assert (DOCS / SCHEMA_FILE).read_text(encoding="utf-8") == json_schema(), UPDATE


def test_the_tables_of_keys_are_the_models() -> None:
    page = (DOCS / PAGE).read_text(encoding="utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0].strip() == key_tables().strip(), UPDATE


def test_every_key_has_a_meaning_and_every_part_a_table() -> None:
    rows = [line for line in key_tables().splitlines() if line.startswith("| `")]
    assert [row for row in rows if row.split(" | ")[-1].strip(" |") == ""] == []
    fields = sum(
        len(part["properties"]) for part in Topology.model_json_schema()["$defs"].values() if "properties" in part
    )
    assert len(rows) == fields + len(Topology.model_fields)


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema().schema)


def test_there_is_an_example_of_each_shape_and_the_page_names_each() -> None:
    names = {path.name for path in EXAMPLES}
    shapes = {"one-site", "hub-and-spokes", "cascade", "two-primaries", "several-primaries", "hybrid"}
    assert {f"{shape}.yaml" for shape in shapes} <= names
    page = (DOCS / PAGE).read_text(encoding="utf-8")
    assert [name for name in names if f"examples/{name}" not in page] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_right_for_the_model_and_the_schema(path: Path) -> None:
    assert load_topology(path)
    schema().validate(yaml.safe_load(path.read_text()))


def example(name: str) -> Topology:
    return load_topology(DOCS / "examples" / f"{name}.yaml")


def test_the_examples_have_the_shapes_that_the_page_promises() -> None:
    assert example("one-site").relationships("main") == []
    assert {entry.source_site for entry in example("hub-and-spokes").relationships("main")} == {"nyc"}
    assert [entry.source_site for entry in example("cascade").relationships("main")] == ["nyc", "fra", "ams"]
    two = example("two-primaries")
    assert {registry.primary.site for registry in two.registries.values()} == {"nyc", "fra"}
    several = example("several-primaries")
    assert {registry.primary.site for registry in several.registries.values()} == set(several.sites)
    assert {len(registry.replicas) for registry in several.registries.values()} == {2}
    hybrid = example("hybrid").sites.values()
    assert {site.model for site in hybrid} == {"on-prem", "adjacent", "cloud"}
    assert all(site.ontap.max_transfers < 50 and site.ontap.timeout > 10 for site in hybrid if site.model == "cloud")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("registries", "main", "colour"), "red"),
        (("registries", "main", "batching"), {"settle": 5}),
        (("registries", "main", "batching"), {"settle": "5 s"}),
        (("sites", "nyc", "model"), "moon"),
        (("sites", "nyc", "ontap", "password"), "hunter2"),
        (("sites", "nyc", "ontap", "url"), "https://admin:hunter2@nyc.example"),
        (("sites", "nyc", "ontap", "max_transfers"), 0),
        (("sites", "NYC"), {}),
        (("version",), 2),
    ],
)
def test_what_the_model_refuses_in_one_place_the_schema_refuses_too(place: tuple[str, ...], value: object) -> None:
    document: dict[str, Any] = yaml.safe_load((DOCS / "examples" / "one-site.yaml").read_text())
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    assert not schema().is_valid(document)
    with pytest.raises(TopologyError):
        parse_topology(yaml.safe_dump(document), "t.yaml")
