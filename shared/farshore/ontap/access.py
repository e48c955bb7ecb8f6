"""Looks at the start whether farshore has what it needs to log in to the clusters."""

from functools import partial

from farshore.secrets import read_secret
from farshore.settings import Collected
from farshore.tls import FileSetting, client_context
from farshore.topology import Topology


def check_access(topology: Topology) -> None:
    """Raises ConfigurationError where a cluster's password or CA file can't be read. Asks no cluster."""
    collected = Collected()
    for name, site in topology.sites.items():
        place = f"sites.{name}.ontap"
        collected.get(partial(read_secret, site.ontap.password, setting=f"{place}.password"))
        if site.ontap.ca_file:
            collected.get(partial(client_context, FileSetting(f"{place}.ca_file", site.ontap.ca_file)))
    collected.raise_if_any()
