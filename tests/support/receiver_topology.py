"""A small topology with given registries, for the receiver's tests."""

from collections.abc import Mapping

from farshore.topology import Topology, parse_topology


def topology_text(
    prefixes: Mapping[str, str], *, tokens: Mapping[str, str] | None = None, head_start: bool = False
) -> str:
    """YAML of one site and the registries of `prefixes` (name: prefix); `tokens` are their secret references."""
    lines = [
        "version: 1",
        "sites:",
        "  nyc:",
        "    model: on-prem",
        "    ontap: {url: 'http://127.0.0.1:9', password: env:NONE, svm: svm1}",
        "registries:",
    ]
    for name, prefix in prefixes.items():
        reference = (tokens or {}).get(name, f"env:TOKEN_{name.upper()}")
        lines += [
            f"  {name}:",
            f"    prefix: '{prefix}'",
            f"    primary: {{site: nyc, volume: vol_{name}, url: 'http://127.0.0.1:9'}}",
            f"    notifications: {{tokens: ['{reference}'], head_start: {str(head_start).lower()}}}",
        ]
    return "\n".join(lines) + "\n"


def topology(prefixes: Mapping[str, str], *, head_start: bool = False) -> Topology:
    """The checked topology of `topology_text`."""
    return parse_topology(topology_text(prefixes, head_start=head_start), "test")
