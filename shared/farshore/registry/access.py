"""Looks at the start whether the CA files of registries can be used."""

from functools import partial

from farshore.settings import Collected
from farshore.tls import FileSetting, client_context
from farshore.topology import Topology


def check_ca_files(topology: Topology) -> None:
    """Raises ConfigurationError where one can't be read. Asks no registry."""
    collected = Collected()
    for name, registry in topology.registries.items():
        for place in (registry.primary, *registry.replicas):
            if place.ca_file:
                setting = f"registries.{name}, ca_file at {place.site}"
                collected.get(partial(client_context, FileSetting(setting, place.ca_file)))
    collected.raise_if_any()
