"""A service doesn't wait at its start for what it has no use for: a wrong setting is told sooner, memory is less."""

import subprocess
import sys

import pytest

COLLECTOR = "opentelemetry.exporter.otlp"
"""Only where spans go anywhere."""


@pytest.mark.parametrize(
    ("module", "spared"),
    [
        ("farshore_receiver.__main__", {COLLECTOR, "requests", "aiohttp", "netapp_ontap"}),
        ("farshore_coalescer.__main__", {COLLECTOR, "aiohttp", "fastapi"}),
        ("farshore_verifier.__main__", {COLLECTOR, "requests", "netapp_ontap", "fastapi"}),
        ("farshore_reconciler.__main__", {COLLECTOR, "requests", "netapp_ontap", "fastapi"}),
        ("farshore_edge.agent.run", {COLLECTOR, "requests", "netapp_ontap", "fastapi"}),
    ],
)
def test_a_service_imports_nothing_that_it_has_no_use_for(module: str, spared: set[str]) -> None:
    program = f"import sys, {module}; print(sorted({spared!r}.intersection(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert answer.stdout == "[]\n"
