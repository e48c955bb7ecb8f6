"""The report of the long fault suites keeps what other suites wrote, and sums up."""

import json
from pathlib import Path

from fault_report import FaultReport


def test_rounds_are_summed_and_other_suites_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "build/faults/report.json"
    FaultReport("kafka", file).add({"kills": {"leader": 1}, "violations": []})
    report = FaultReport("kill-nine", file)
    report.add({"seed": 7, "kills": {"edge": 1, "ontap": 2}, "pushes": 10, "violations": []})
    report.add({"seed": 8, "kills": {"edge": 3}, "pushes": 5, "violations": ["lost"]})
    written = json.loads(file.read_text())
    assert written["kafka"]["total"] == {"rounds": 1, "violations": 0, "kills": {"leader": 1}}
    assert written["kill-nine"]["total"] == {
        "rounds": 2,
        "violations": 1,
        "kills": {"edge": 4, "ontap": 2},
        "pushes": 15,
    }
    assert [one["seed"] for one in written["kill-nine"]["rounds"]] == [7, 8]
    assert report.violations() == ["lost"]
    assert [line.split() for line in report.table().splitlines()] == [
        ["seed", "kills", "pushes", "violations"],
        ["7", "3", "10", "0"],
        ["8", "3", "5", "1"],
        ["6", "15", "1"],
    ]
