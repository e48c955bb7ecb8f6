"""The OCI distribution conformance suite as a program: what it says of a registry, case by case."""

import os
import subprocess
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

Cases = Counter[tuple[str, str]]
"""How often each case (its path in the suite's tree) came to each result: `passed`, `failure`, `skipped`, …"""


def run_suite(program: Path, address: str, folder: Path, repositories: str) -> Cases:
    """Run the suite's defaults for version 1.1 against the registry at `address`, in `repositories`.

    The suite's reports are in `folder` afterwards, which is made.
    """
    folder.mkdir()
    settings = {
        "OCI_CONFIGURATION": os.devnull,
        "OCI_RESULTS_DIR": str(folder),
        "OCI_VERSION": "1.1",
        "OCI_LOG": "error",
        "OCI_REGISTRY": address,
        "OCI_TLS": "disabled",
        "OCI_REPO1": f"{repositories}/one",
        "OCI_REPO2": f"{repositories}/two",
    }
    # its exit code is 1 whenever a case fails, and some do at every registry
    subprocess.run([program], env={**os.environ, **settings}, capture_output=True, timeout=800, cwd=folder)
    report = ET.parse(folder / "junit.xml").getroot()
    cases = Counter((str(case.get("name")), str(case.get("status"))) for case in report.iter("testcase"))
    # groups of cases count too, in the suite's own sums
    for result in ("tests", "failures", "skipped", "disabled"):
        cases["in all", result] = int(report.get(result, 0))
    return cases
