"""The Dockerfile has a target for each member and for whatever compose and the chart run, and nothing else in it."""

import re
import tomllib

import pytest
import yaml
from container_images import TARGETS as TESTED
from documents import DOCS, ROOT, section
from locked_packages import closure

DOCKERFILE = (ROOT / "Dockerfile").read_text()
STAGES = {
    name: (parent, lines)
    for parent, name, lines in re.findall(
        r"^FROM (\S+) AS (\S+)\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL
    )
}
TARGETS = {name for name, (parent, _) in STAGES.items() if parent in {"service", "runtime"}} - {"service"}
SETTINGS = section((DOCS / "operations.md").read_text(), "## Settings")
SERVICES = yaml.safe_load((ROOT / "compose" / "services.yaml").read_text())["services"]


def test_each_member_of_the_workspace_has_its_target() -> None:
    files = ROOT.glob("services/*/pyproject.toml")
    members = {tomllib.loads(file.read_text())["project"]["name"].removeprefix("farshore-") for file in files}
    assert members == TARGETS == set(TESTED)


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_a_target_holds_its_member_alone(target: str) -> None:
    parent, build = STAGES[f"{target}-build"]
    assert parent == "build"
    assert f"images/install-member farshore-{target}" in build
    _, lines = STAGES[target]
    assert re.findall(r"^COPY (.*)$", lines, re.MULTILINE) == [f"--from={target}-build /opt/farshore /opt/farshore"]
    command = "farshore" if target == "cli" else f"farshore-{target}"
    assert f'org.opencontainers.image.title="{command}"' in lines
    assert re.search(rf'^(ENTRYPOINT|CMD) \["{command}"', lines, re.MULTILINE)


@pytest.mark.parametrize("target", sorted(TARGETS - {"cli"}))
def test_a_health_check_asks_where_its_target_listens(target: str) -> None:
    parent, lines = STAGES[target]
    checks = re.findall(r'HEALTHCHECK .*\n +CMD \[.*"/opt/alive.py", "(\w+)", "(\S+)"\]', STAGES[parent][1] + lines)
    variable, path = checks[-1]
    assert path == ("/sim/health" if target == "ontap-simulator" else "/livez")
    assert re.search(rf"{variable}=0\.0\.0\.0:\d+", STAGES[parent][1] + lines)


def test_who_runs_it_may_change_nothing() -> None:
    users = re.findall(r"^USER (.*)$", STAGES["runtime"][1], re.MULTILINE)
    assert users == ["65532:65532"]
    for target in TARGETS:
        assert ([*users, *re.findall(r"^USER (.*)$", STAGES[target][1], re.MULTILINE)])[-1] == "65532:65532"


def test_only_who_speaks_with_clusters_has_their_client() -> None:
    have = {target for target in TARGETS if "netapp-ontap" in closure(ROOT / "uv.lock", f"farshore-{target}")}
    assert have == {"coalescer", "cli"}


def test_uv_is_the_one_of_the_setup() -> None:
    (version,) = re.findall(r"^uv_version=(\S+)$", (ROOT / "scripts" / "setup").read_text(), re.MULTILINE)
    assert f"uv=={version}\n" in STAGES["build"][1].replace(" \\\n", "\n")


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
