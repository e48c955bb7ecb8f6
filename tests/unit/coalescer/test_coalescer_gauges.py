"""Gauges of the lanes that a process owns."""

from typing import Any, cast

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from farshore.topology import Batching, parse_topology
from farshore_coalescer.apply import apply
from farshore_coalescer.gauges import show_gauges
from farshore_coalescer.messages import HeadSeen, PositionRead
from farshore_coalescer.snapshot_names import Log
from farshore_coalescer.state import Extent
from farshore_coalescer.status import Running
from farshore_coalescer.volume import Registry, Volume

TOPOLOGY = """
version: 1
sites:
  nyc: {model: cloud, ontap: {url: 'https://nyc.invalid', password: 'env:NOT_USED', svm: s}}
  fra: {model: cloud, ontap: {url: 'https://fra.invalid', password: 'env:NOT_USED', svm: s}}
registries:
  main:
    primary: {site: nyc, volume: v, url: 'http://nyc.invalid'}
    replicas: [{site: fra, volume: v, url: 'http://fra.invalid'}]
    notifications: {tokens: ['env:NOT_USED']}
"""


class OneLane:
    """As much of a lane as the gauges look at."""

    def __init__(self) -> None:
        (relationship,) = parse_topology(TOPOLOGY, "test").relationships("main")
        self.volume = Volume(Registry("main", Batching(), {"fra": relationship}), Log("0a1b2c3d", 0), 0)
        self.volumes = {"main": self.volume}


def shown(reader: InMemoryMetricReader) -> dict[str, Any]:
    data = reader.get_metrics_data()
    if data is None:
        return {}
    return {
        f"{metric.name} {' '.join(map(str, (point.attributes or {}).values()))}": cast(Any, point).value
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }


def test_a_lane_that_is_given_up_takes_its_gauges_along() -> None:
    reader = InMemoryMetricReader()
    lanes: Running = {}
    show_gauges(lanes, MeterProvider(metric_readers=[reader]).get_meter("test"))
    assert shown(reader) == {}
    lane = OneLane()
    lanes[cast(Any, "partition")] = cast(Any, (lane, None))
    assert shown(reader) == {"farshore.fenced main": 0}, "no lag before it is known"
    for observation in (HeadSeen(Extent(12, 12, 0)), PositionRead("fra", 5)):
        lane.volume.state = apply(lane.volume.state, observation, 0.0)
    for _ in range(2):
        assert shown(reader) == {"farshore.fenced main": 0, "farshore.lag main.fra": 7}
    lanes.clear()
    assert shown(reader) == {}
