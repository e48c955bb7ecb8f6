"""Every metric that farshore's services have, as `/metrics` shows it, and the instruments behind them."""

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache

from charts import program
from prometheus_client.parser import text_string_to_metric_families

# In a process of its own, which telemetry belongs to. Every instrument is touched once, since one that was never used
# isn't exposed.
_PROGRAM = """
import importlib, json, pkgutil
from opentelemetry.metrics import Counter, Histogram, Observation, UpDownCounter, get_meter
from prometheus_client import generate_latest
from farshore.telemetry.start import start_telemetry
from farshore_coalescer.gauges import show_gauges

instruments = {}

def note(value, kind):
    instruments[value.name] = {"name": value.name, "kind": kind, "unit": value.unit, "description": value.description}

class Observed:  # a meter whose gauges have something to show
    def create_observable_gauge(self, name, _callbacks, **named):
        note(get_meter("test").create_observable_gauge(name, [lambda _options: [Observation(1)]], **named), "gauge")

start_telemetry("farshore-test")
show_gauges({}, Observed())
for package in ("farshore", "farshore_receiver", "farshore_coalescer", "farshore_verifier", "farshore_reconciler",
                "farshore_edge"):
    top = importlib.import_module(package)
    for info in pkgutil.walk_packages(top.__path__, package + "."):
        if info.name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(info.name)).values():
            value = getattr(value, "_real_instrument", None) or value  # of a module that was there before telemetry
            if isinstance(value, Counter):
                value.add(1)
                note(value, "counter")
            elif isinstance(value, UpDownCounter):
                value.add(1)
                note(value, "updowncounter")
            elif isinstance(value, Histogram):
                value.record(1)
                note(value, "histogram")
print(json.dumps({"exposition": generate_latest().decode(), "instruments": list(instruments.values())}))
"""


@dataclass(frozen=True)
class Instrument:
    """One of OpenTelemetry's."""

    name: str
    kind: str
    unit: str
    description: str


@dataclass(frozen=True)
class Exposed:
    """What all services together show; `exposition` is Prometheus' text format."""

    exposition: str
    instruments: tuple[Instrument, ...]

    @property
    def kinds(self) -> dict[str, str]:
        """Name and kind of each of farshore's own metrics."""
        return {
            family.name + ("_total" if family.type == "counter" else ""): family.type
            for family in text_string_to_metric_families(self.exposition)
            if family.name.startswith("farshore_") and not family.name.endswith("_created")
        }

    @property
    def series(self) -> set[str]:
        """The names of time series that queries may use, those of other libraries too: a histogram has several."""
        endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        return {
            family.name + ending
            for family in text_string_to_metric_families(self.exposition)
            for ending in endings.get(family.type, ("",))
        }


def wrong_with(exposition: str) -> str:
    """What promtool says against it; nothing where all is well. Skips the test where promtool isn't here."""
    command = [str(program("promtool")), "check", "metrics"]
    done = subprocess.run(command, input=exposition, capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).strip()
    return said or ("" if done.returncode == 0 else f"it ended with {done.returncode}")


@cache
def exposed() -> Exposed:
    """Asked once, for it takes seconds."""
    answer = subprocess.run([sys.executable, "-c", _PROGRAM], check=True, capture_output=True, text=True)
    found = json.loads(answer.stdout)
    return Exposed(found["exposition"], tuple(Instrument(**one) for one in found["instruments"]))
