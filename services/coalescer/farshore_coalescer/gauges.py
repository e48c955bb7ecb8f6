"""Gauges of what this process owns at the moment: a lane that it gives up takes its series along."""

import time
from collections.abc import Iterator

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from farshore_coalescer.status import Running
from farshore_coalescer.volume import Volume


def show_gauges(lanes: Running, meter: Meter) -> None:
    """Have `meter` ask the volumes of `lanes` whenever metrics are read."""

    def volumes() -> Iterator[Volume]:
        for lane, _ in lanes.values():
            yield from lane.volumes.values()

    def fenced(_options: CallbackOptions) -> Iterator[Observation]:
        now = time.monotonic()
        for volume in volumes():
            yield Observation(len(volume.state.holding(now)), {"registry": volume.registry.name})

    def lag(_options: CallbackOptions) -> Iterator[Observation]:
        for volume in volumes():
            for replica in volume.state.replicas:
                if replica.position is not None:
                    relationship = volume.registry.relationships[replica.site].name
                    behind = max(0, volume.state.seen.end - replica.position)
                    yield Observation(behind, {"relationship": relationship})

    meter.create_observable_gauge(
        "farshore.fenced", [fenced], unit="{fence}", description="Fences that hold a registry's snapshots"
    )
    meter.create_observable_gauge(
        "farshore.lag", [lag], unit="{event}", description="Offsets seen and not yet published, per site"
    )
