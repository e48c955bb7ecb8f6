"""What docs/operations.md and docs/coalescer.md say of settings, metrics, exit codes, topics and bounds is so."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import DOCS, ROOT, documents, rows, section
from exposed_metrics import exposed
from pydantic_settings import BaseSettings

from farshore.bus.access_settings import AccessSettings
from farshore.bus.topics import ALL_TOPICS, DAY_MS
from farshore.service import Settings
from farshore.topology.model import Batching, Cluster
from farshore_cli import exit_codes
from farshore_coalescer import why
from farshore_coalescer.deduplicate import WINDOW
from farshore_coalescer.publish import CHUNK
from farshore_edge.agent.settings import EdgeSettings
from farshore_receiver import problems
from farshore_receiver.problems import Problem
from farshore_receiver.settings import ReceiverSettings
from farshore_reconciler.settings import ReconcilerSettings
from farshore_verifier.settings import VerifierSettings

OPERATIONS = (DOCS / "operations.md").read_text()
COALESCER = (DOCS / "coalescer.md").read_text()


@pytest.fixture(scope="module")
def exposed_metrics() -> dict[str, str]:
    """Name and kind of each metric as `/metrics` shows it."""
    return exposed().kinds


def documented(heading: str, pattern: str) -> dict[str, list[str]]:
    """The rows of a section's tables whose first cell is code that fits `pattern`, by that code."""
    found = {}
    for first, *others in rows(section(OPERATIONS, heading)):
        match = re.fullmatch(rf"`({pattern})`", first)
        if match:
            found[match[1]] = others
    return found


def test_the_metrics_are_those_that_services_expose(exposed_metrics: dict[str, str]) -> None:
    named = {name: cells[0] for name, cells in documented("## Metrics", "farshore_[a-z_]+").items()}
    assert named == exposed_metrics


def test_no_document_names_a_metric_that_is_not_there(exposed_metrics: dict[str, str]) -> None:
    packages = {path.name for path in ROOT.glob("services/*/farshore_*")}
    dead_letter_headers = {
        f"farshore_{word}" for word in ("service", "source", "code", "reason", "at", "cut", "redriven", "to")
    }
    known = set(exposed_metrics) | packages | dead_letter_headers
    for document in documents():
        named = set(re.findall(r"(?<![\w/-])farshore_[a-z_]*[a-z]", document.read_text()))
        assert named <= known, document


def variables_in_code() -> Iterator[str]:
    sources = [ROOT / "Makefile", *(ROOT / "scripts").iterdir()]
    for folder in (
        "shared",
        "services",
        *(f"tests/{name}" for name in ("simulation", "faults", "images", "cluster", "integration/receiver")),
    ):
        sources += (ROOT / folder).rglob("*.py")
    for source in sources:
        yield from re.findall(r"\bFARSHORE_[A-Z_]*[A-Z]\b", source.read_text())


def test_the_variables_are_those_that_the_code_reads() -> None:
    simulator = (ROOT / "services/ontap_simulator/farshore_ontap_simulator/settings.py").read_text()
    options = re.findall(r'option\("--([a-z-]+)"', simulator)
    in_code = {
        *variables_in_code(),
        *(f"FARSHORE_{name.upper()}" for name in Settings.model_fields),
        *(f"FARSHORE_KAFKA_{name.upper()}" for name in AccessSettings.model_fields),
        *(f"FARSHORE_RECEIVER_{name.upper()}" for name in ReceiverSettings.model_fields),
        *(f"FARSHORE_RECONCILER_{name.upper()}" for name in ReconcilerSettings.model_fields),
        *(f"FARSHORE_VERIFIER_{name.upper()}" for name in VerifierSettings.model_fields),
        *(f"FARSHORE_EDGE_{name.upper()}" for name in EdgeSettings.model_fields),
        *(f"FARSHORE_SIM_{name.upper().replace('-', '_')}" for name in options),
    }
    assert set(documented("## Settings", "FARSHORE_[A-Z_]+")) == in_code


@pytest.mark.parametrize(
    ("settings", "prefix"),
    [
        (Settings, "FARSHORE_"),
        (AccessSettings, "FARSHORE_KAFKA_"),
        (ReceiverSettings, "FARSHORE_RECEIVER_"),
        (ReconcilerSettings, "FARSHORE_RECONCILER_"),
        (VerifierSettings, "FARSHORE_VERIFIER_"),
        (EdgeSettings, "FARSHORE_EDGE_"),
    ],
)
def test_the_defaults_are_those_of_the_code(settings: type[BaseSettings], prefix: str) -> None:
    told = documented("## Settings", "FARSHORE_[A-Z_]+")
    for name, field in settings.model_fields.items():
        said = told[f"{prefix}{name.upper()}"][0].strip("`")
        if field.is_required():
            assert said == "none, required"
        elif isinstance(field.default, bool):
            assert said == str(field.default).lower()
        elif isinstance(field.default, str | Path):
            assert said == (str(field.default) or "none")
        else:
            assert float(said) == field.default


def test_the_exit_codes_are_those_that_programs_end_with() -> None:
    codes = {value for name, value in vars(exit_codes).items() if name.isupper()}
    for folder in ("shared", "services"):
        for source in (ROOT / folder).rglob("*.py"):
            codes |= {int(code) for code in re.findall(r"^_?EX_[A-Z]+ = (\d+)$", source.read_text(), re.MULTILINE)}
    for script in (ROOT / "scripts").iterdir():
        codes |= {int(code) for code in re.findall(r"\bexit (\d+)", script.read_text())}
    told = [int(first) for first, *_ in rows(section(OPERATIONS, "## Exit codes")) if first.isdecimal()]
    assert told == sorted(codes)


def test_every_refusal_of_the_receiver_is_in_its_table() -> None:
    told = {status: cells[0] for status, *cells in rows(section(OPERATIONS, "### What the receiver answers"))}
    for problem in vars(problems).values():
        if isinstance(problem, Problem):
            assert f"`{problem.code}`" in told[str(problem.status.value)]


def test_topics_are_told_with_their_settings() -> None:
    told = {}
    for name, partitions, kept in rows(section(OPERATIONS, "## Topics"))[1:]:
        days = re.match(r"(\d+) days", kept)
        told[name.strip("`")] = (int(partitions), str(int(days[1]) * DAY_MS) if days else "compact")
    assert told == {
        topic.name: (topic.partitions, topic.config.get("retention.ms") or topic.config["cleanup.policy"])
        for topic in ALL_TOPICS
    }


def test_the_bounds_of_batching_have_the_defaults_that_are_told() -> None:
    told = {first.strip("`"): cells[0] for first, *cells in rows(section(COALESCER, "## Bounds and their price"))}
    for name in ("settle", "min_interval", "max_wait", "keep"):
        assert float(told[name].removesuffix(" s")) == Batching.model_fields[name].default
    for name in ("max_transfers", "max_requests"):
        assert float(told[f"ontap.{name}"]) == Cluster.model_fields[name].default
    assert set(Batching.model_fields) <= set(told)


def test_constants_are_told_as_they_are() -> None:
    assert f"{CHUNK:,} records" in COALESCER
    index = (DOCS / "README.md").read_text()
    decision = (DOCS / "adr" / "0007-repeated-notifications.md").read_text()
    assert all(f"{WINDOW:,} offsets" in text for text in (COALESCER, index, decision))


def test_reasons_for_being_behind_are_quoted_as_they_are_said() -> None:
    source = inspect.getsource(why)
    for quoted, *_ in rows(section(COALESCER, "## When a site is behind"))[1:]:
        for part in re.findall(r"[a-z ]{6,}", quoted.strip("`")):
            if part.strip() not in ("anything with", "looked at again in"):
                assert part.strip() in source, quoted
