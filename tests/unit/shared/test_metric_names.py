"""Metrics have the names that Prometheus and OpenTelemetry ask for."""

import re

from exposed_metrics import exposed, wrong_with

UNITS = re.compile(r"s|By|\{[a-z]+\}")
"""Of UCUM, as OpenTelemetry's semantic conventions write them; what is counted stands in braces."""


def test_prometheus_finds_nothing_wrong() -> None:
    assert not wrong_with(exposed().exposition)


def test_prometheus_would_find_what_is_wrong() -> None:
    assert "counter metrics should have" in wrong_with("# HELP one two\n# TYPE one counter\none 1\n")


def test_instruments_are_named_by_the_conventions() -> None:
    """Source: OpenTelemetry's semantic conventions for metrics, "Naming rules" and "Instrument units"."""
    names = {instrument.name for instrument in exposed().instruments}
    for instrument in exposed().instruments:
        assert re.fullmatch(r"farshore(\.[a-z]+(_[a-z]+)*)+", instrument.name)
        assert UNITS.fullmatch(instrument.unit), instrument
        assert instrument.description, instrument
        assert not re.search(r"(total|seconds|bytes|count)$", instrument.name), "unit and kind stand beside it"
        assert not any(other.startswith(f"{instrument.name}.") for other in names), "a name is no namespace"


def test_metrics_of_all_services_begin_with_the_name_of_the_product_and_have_a_help() -> None:
    helps = dict(re.findall(r"^# HELP (\S+) (.*)$", exposed().exposition, re.MULTILINE))
    own = [name for name in helps if not name.startswith(("python_", "process_", "target_info"))]
    assert all(name.startswith("farshore_") for name in own)
    assert all(helps.values())
