"""The Dockerfile has a target for whatever compose and the chart run, and the settings are ones that services know."""

import re

import yaml
from documents import DOCS, ROOT, section

TARGETS = set(re.findall(r"^FROM (?:service|runtime) AS ([a-z-]+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
SETTINGS = section((DOCS / "operations.md").read_text(), "## Settings")
SERVICES = yaml.safe_load((ROOT / "compose" / "services.yaml").read_text())["services"]


def test_each_target_holds_one_member_of_the_workspace() -> None:
    text = (ROOT / "Dockerfile").read_text()
    for target in TARGETS - {"service"}:
        assert f"FROM build AS {target}-build\n" in text
        assert f"uv sync --quiet --package farshore-{target}" in text


def test_compose_runs_targets_that_can_write_nothing() -> None:
    for name, service in SERVICES.items():
        assert service["build"]["target"] == name
        assert name in TARGETS
        assert f"/farshore-{name}:" in service["image"]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]


def test_the_chart_names_only_targets() -> None:
    schema = yaml.safe_load((ROOT / "helm" / "farshore" / "values.schema.json").read_text())
    assert set(schema["properties"]["image"]["properties"]["digests"]["properties"]) <= TARGETS


def test_the_example_has_only_settings_that_services_know() -> None:
    example = (ROOT / "compose" / ".env.example").read_text()
    given = set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE))
    for_compose = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "compose" / "services.yaml").read_text()))
    assert for_compose <= given
    assert all(f"`{name}`" in SETTINGS for name in given - for_compose)
