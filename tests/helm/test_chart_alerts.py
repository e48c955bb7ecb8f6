"""The chart's alerts: promtool takes them, they fire when they should, and speak of what there is."""

import re
import subprocess
from pathlib import Path

import yaml
from charts import CHART, program, rendered, with_values
from documents import DOCS, anchors, rows, section

ALERTS = CHART / "files" / "alerts.yaml"
TARGET = {"job", "instance"}
"""What Prometheus itself puts on every series."""
RULES = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]


def promtool(*arguments: str, folder: Path) -> str:
    answer = subprocess.run(
        [str(program("promtool")), *arguments], capture_output=True, text=True, timeout=300, cwd=folder, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def test_prometheus_takes_the_rules(tmp_path: Path) -> None:
    assert f"{len(RULES)} rules found" in promtool("check", "rules", str(ALERTS), folder=tmp_path)


def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(ALERTS.read_text())
    (tmp_path / "expected.yaml").write_text((Path(__file__).parent / "alerts_expected.yaml").read_text())
    promtool("test", "rules", "expected.yaml", folder=tmp_path)


def test_every_alert_is_expected_to_fire_once() -> None:
    expected = yaml.safe_load((Path(__file__).parent / "alerts_expected.yaml").read_text())
    fired = {one["alertname"] for test in expected["tests"] for one in test["alert_rule_test"] if one["exp_alerts"]}
    assert fired == {rule["alert"] for rule in RULES}


def test_metrics_labels_and_runbooks_are_documented() -> None:
    operations = (DOCS / "operations.md").read_text()
    labels = {first.strip("`"): cells[1] for first, *cells in rows(section(operations, "## Metrics"))}
    runbooks = anchors((DOCS / "runbooks.md").read_text())
    for rule in RULES:
        for metric in re.findall(r"farshore_[a-z_]+", rule["expr"]):
            by = re.search(r"by \(([a-z, ]+)\)", rule["expr"])
            assert by is not None
            assert set(by[1].split(", ")) <= TARGET | set(labels[metric].split(", ")), rule["alert"]
        assert rule["annotations"]["runbook"].removeprefix("docs/runbooks.md#") in runbooks


def test_the_chart_hands_the_rules_on_as_they_are() -> None:
    (made,) = [one for one in rendered(*with_values("hub-everything")) if one["kind"] == "PrometheusRule"]
    assert made["spec"]["groups"][0]["rules"] == RULES
