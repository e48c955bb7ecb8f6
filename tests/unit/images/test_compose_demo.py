"""The demo's compose file holds together: it is held against all that it speaks of. tests/images starts it."""

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml
from charts import program
from documents import DOCS, ROOT, section
from exposed_metrics import exposed

from farshore.topology import load_topology
from farshore_cli.stack.registry_config import NotificationTarget, registry_config
from farshore_cli.tools.cache import tools_dir
from farshore_edge.__main__ import main as farshore_edge_main
from farshore_ontap_simulator.settings import parse as parse_simulator

COMPOSE = ROOT / "compose"
DEMO = COMPOSE / "demo"
FILES = [COMPOSE / "compose.yaml", COMPOSE / "services.yaml"]
PROJECT: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = PROJECT["services"]
TARGETS = set(re.findall(r"^FROM (?:service|runtime) AS ([a-z-]+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
TOPOLOGY = load_topology(DEMO / "topology.yaml")
SITES = {"nyc": "primary", "fra": "replica", "syd": "replica"}
ALERTS = ROOT / "helm" / "farshore" / "files" / "alerts.yaml"
DASHBOARD = json.loads((DEMO / "grafana" / "farshore.json").read_text())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_podman_compose_takes_it(file: Path, tmp_path: Path) -> None:
    podman = shutil.which("podman")
    if podman is None:  # it asks for the version only
        podman = str(tmp_path / "podman")
        Path(podman).write_text("#!/bin/sh\necho podman version 5.0.0\n")
        Path(podman).chmod(0o700)
    command = ["podman-compose", "--podman-path", podman, "--file", str(file), "config"]
    environ = {**os.environ, "FARSHORE_ETC": "/etc/farshore"}
    (tmp_path / ".env").touch()
    done = subprocess.run(command, capture_output=True, text=True, env=environ, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert set(yaml.safe_load(done.stdout)["services"]) <= set(yaml.safe_load(file.read_text())["services"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_it_is_what_the_compose_specification_allows(file: Path) -> None:
    schema_file = tools_dir().parent / "compose-spec.json"
    if not schema_file.exists():
        pytest.skip("the schema is not here: scripts/setup --for-tests gets it where Go is")
    schema = json.loads(schema_file.read_text())
    jsonschema.Draft7Validator(schema).validate(yaml.safe_load(file.read_text()))


def test_farshores_images_are_targets_of_the_dockerfile_and_can_write_nothing() -> None:
    built = {name: service for name, service in SERVICES.items() if "build" in service}
    assert {service["build"]["target"] for service in built.values()} == TARGETS - {"service"}
    for name, service in built.items():
        assert f"/farshore-{service['build']['target']}:" in service["image"], name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name


def test_every_other_image_has_a_version() -> None:
    for name, service in SERVICES.items():
        if "build" not in service:
            assert re.fullmatch(r"docker\.io/[a-z/-]+:v?\d+\.\d+\.\d+", service["image"]), name


def test_the_order_of_the_start_is_by_health() -> None:
    """What is waited for has a health check, or ends; nothing waits for itself."""
    started: set[str] = set()
    waiting = dict(SERVICES)
    while waiting:
        free = {name for name, service in waiting.items() if set(service.get("depends_on", {})) <= started}
        assert free, f"these wait for one another: {sorted(waiting)}"
        started |= free
        waiting = {name: service for name, service in waiting.items() if name not in free}
    for service in SERVICES.values():
        for other, waits in service.get("depends_on", {}).items():
            needed = SERVICES[other]
            match waits["condition"]:
                case "service_healthy":
                    assert needed["healthcheck"]["test"][0] == "CMD", other
                case "service_completed_successfully":
                    assert needed["restart"] == "no", other
                case condition:
                    assert (condition, other) == ("service_started", "jaeger")


def test_no_health_check_goes_through_a_proxy() -> None:
    """`alive.py` asks directly (test_alive.py); busybox' wget heeds http_proxy, unless it is told not to."""
    asking = [
        service["healthcheck"]["test"] for service in SERVICES.values() if "test" in service.get("healthcheck", {})
    ]
    assert {test[1] for test in asking} == {"python3", "wget", "/opt/kafka/bin/kafka-topics.sh"}
    for test in asking:
        if test[1] == "python3":
            assert test[2:4] == ["-IS", "/opt/alive.py"]
        if test[1] == "wget":
            assert test[2:4] == ["-Y", "off"]


def test_volumes_have_names_and_files_are_there() -> None:
    used = set()
    for service in SERVICES.values():
        for source, *_ in (volume.split(":") for volume in service.get("volumes", [])):
            if source.startswith("."):
                assert (COMPOSE / source).exists(), source
            else:
                used.add(source)
    assert used == set(PROJECT["volumes"])


def test_only_this_host_reaches_it() -> None:
    for name, service in SERVICES.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_every_address_is_that_of_a_service() -> None:
    urls = [site.ontap.url for site in TOPOLOGY.sites.values()]
    for registry in TOPOLOGY.registries.values():
        urls += [place.url for place in (registry.primary, *registry.replicas)]
    said = [path.read_text() for path in DEMO.rglob("*") if path.is_file()]
    urls += re.findall(r"http://(?:receiver|coalescer|jaeger|prometheus)[:/][^\s\"'}]*", "".join(said))
    assert {urlsplit(url).hostname for url in urls} <= set(SERVICES)
    assert SERVICES["receiver"]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4318"
    assert SERVICES["receiver"]["environment"]["FARSHORE_KAFKA_BOOTSTRAP_SERVERS"] == "kafka:9092"
    assert SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"] == "PLAINTEXT://kafka:9092"


def test_settings_are_ones_that_services_know() -> None:
    known = section((DOCS / "operations.md").read_text(), "## Settings")
    for service in SERVICES.values():
        for name in service.get("environment", {}):
            if name.startswith("FARSHORE_"):
                assert f"`{name}`" in known, name


@pytest.mark.parametrize("site", SITES)
def test_a_sites_cluster_is_the_topologys_and_knows_the_others(site: str, tmp_path: Path) -> None:
    (tmp_path / "ontap").write_text("a password")
    environment = dict(SERVICES[f"ontap-{site}"]["environment"])
    assert environment["FARSHORE_SIM_PASSWORD_FILE"] == TOPOLOGY.sites[site].ontap.password.removeprefix("file:")
    environment["FARSHORE_SIM_PASSWORD_FILE"] = str(tmp_path / "ontap")
    settings = parse_simulator([], environment)
    assert settings.svm == TOPOLOGY.sites[site].ontap.svm
    assert settings.username == TOPOLOGY.sites[site].ontap.username
    assert {f"ontap-{name.removeprefix('cluster-')}" for name in settings.peers} == {
        address.host for address in settings.peers.values()
    }
    assert set(settings.peers) == {f"cluster-{other}" for other in SITES if other != site}
    assert f"ontap-{site}:{settings.state_dir}" in SERVICES[f"ontap-{site}"]["volumes"]


@pytest.mark.parametrize(("site", "role"), SITES.items())
def test_a_registry_serves_the_volume_of_its_sites_cluster(site: str, role: str) -> None:
    """At the same path, since what a volume exports is a link; as the user that owns it."""
    mode = "" if role == "primary" else ":ro"
    assert f"ontap-{site}:/data{mode}" in SERVICES[f"registry-{site}"]["volumes"]
    assert SERVICES[f"registry-{site}"]["user"] == "65532:65532"
    assert "USER 65532:65532" in (ROOT / "Dockerfile").read_text()


def make_secrets(folder: Path) -> None:
    subprocess.run(["sh", str(DEMO / "make-secrets.sh"), str(folder)], check=True, capture_output=True)


def test_secrets_are_made_once_at_random_and_are_their_owners_only(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        make_secrets(tmp_path / folder)
    first = {path.name: path.read_text() for path in (tmp_path / "one" / "secrets").iterdir()}
    other = {path.name: path.read_text() for path in (tmp_path / "two" / "secrets").iterdir()}
    make_secrets(tmp_path / "one")
    assert first == {path.name: path.read_text() for path in (tmp_path / "one" / "secrets").iterdir()}
    assert set(first) == {"ontap", "notifications", "registry-http"}
    assert len({*first.values(), *other.values()}) == 6
    made = [path for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}


@pytest.mark.parametrize(("site", "role"), SITES.items())
def test_registries_are_configured_as_farshore_up_does_it(site: str, role: str, tmp_path: Path) -> None:
    make_secrets(tmp_path)
    token, http_secret = ((tmp_path / "secrets" / name).read_text() for name in ("notifications", "registry-http"))
    target = NotificationTarget("http://receiver:8080/v1/notifications/main", token) if role == "primary" else None
    root = Path(f"/data/export/{TOPOLOGY.sites[site].ontap.svm}/registry")
    wanted = registry_config(root, ":5000", http_secret, read_only=role == "replica", notify=target)
    assert yaml.safe_load((tmp_path / "registries" / f"{site}.yaml").read_text()) == yaml.safe_load(wanted)


@pytest.mark.parametrize("site", SITES)
def test_an_edge_gets_rules_for_its_site(site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = SERVICES[f"edge-{site}"]["command"][2].replace("$$SITE", SERVICES[f"edge-{site}"]["environment"]["SITE"])
    render, start = script.split("\nexec ")
    given = shlex.split(render.replace("\\\n", " "))
    output = given[given.index("--output") + 1]
    assert start.split() == ["nginx", "-e", "stderr", "-c", output]
    there = {output: str(tmp_path / "nginx.conf"), "/etc/farshore/topology.yaml": str(DEMO / "topology.yaml")}
    monkeypatch.setattr("sys.argv", [there.get(word, word) for word in given])
    farshore_edge_main()
    rules = (tmp_path / "nginx.conf").read_text()
    assert "registry-nyc:5000" in rules
    assert f"registry-{site}:5000" in rules
    assert re.search(r"listen\s+(\S*:)?8080\b", rules)


def test_prometheus_takes_its_configuration_and_the_charts_alerts(tmp_path: Path) -> None:
    for file in (DEMO / "prometheus.yaml", ALERTS):
        (tmp_path / file.name).write_text(file.read_text())
    command = [str(program("promtool")), "check", "config", str(tmp_path / "prometheus.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "../helm/farshore/files/alerts.yaml:/etc/prometheus/alerts.yaml:ro" in SERVICES["prometheus"]["volumes"]


def test_prometheus_scrapes_every_service_where_it_shows_its_metrics() -> None:
    config = yaml.safe_load((DEMO / "prometheus.yaml").read_text())
    (targets,) = config["scrape_configs"][0]["static_configs"]
    assert set(targets["targets"]) == {"receiver:8081", "coalescer:8080", "verifier:8080", "reconciler:8080"}
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "FARSHORE_RECEIVER_MANAGEMENT_LISTEN=0.0.0.0:8081" in dockerfile
    assert "FARSHORE_LISTEN=0.0.0.0:8080" in dockerfile


def test_the_collector_takes_what_services_send_and_hands_it_to_the_viewer() -> None:
    config = yaml.safe_load((DEMO / "collector.yaml").read_text())
    pipeline = config["service"]["pipelines"]["traces"]
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline[kind]) == set(config[kind])
    assert config["receivers"]["otlp"]["protocols"]["http"]["endpoint"].endswith(":4318")
    assert config["exporters"]["otlp_grpc"]["endpoint"] == "jaeger:4317"


def dashboard_queries() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def metrics_of(query: str) -> set[str]:
    return set(re.findall(r"\b((?:farshore|process)_[a-z_]+)\b", query))


def test_every_metric_of_the_dashboard_and_the_alerts_exists() -> None:
    rules = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    for query in (*dashboard_queries(), *(rule["expr"] for rule in rules)):
        assert metrics_of(query)
        assert metrics_of(query) <= exposed().series, query


def test_prometheus_understands_the_dashboards_queries(tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(dashboard_queries())]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    command = [str(program("promtool")), "check", "rules", str(tmp_path / "rules.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_is_found_with_its_data() -> None:
    sources = yaml.safe_load((DEMO / "grafana" / "datasources.yaml").read_text())["datasources"]
    uids = {source["uid"] for source in sources}
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} <= uids
    (provider,) = yaml.safe_load((DEMO / "grafana" / "dashboards.yaml").read_text())["providers"]
    path = f"{provider['options']['path']}/farshore.json"
    assert f"./demo/grafana/farshore.json:{path}:ro" in SERVICES["grafana"]["volumes"]
    assert SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == path
