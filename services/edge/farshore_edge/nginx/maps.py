"""The variables of a request: what it asks for, of which registry, who is asked, whether it counts as a write."""

from collections.abc import Sequence

from farshore_edge.nginx.about import path_about
from farshore_edge.nginx.syntax import block
from farshore_edge.routes import Route, Upstream

# The most specific first: nginx takes the first regular expression that matches.
KINDS = """\
map $uri $kind {
  default                                           meta;
  "~^/v2/.+/blobs/uploads/"                         session;
  "~^/v2/.+/blobs/[a-z0-9+._-]+:[A-Fa-f0-9]+$"      blob;
  "~^/v2/.+/manifests/[a-z0-9+._-]+:[A-Fa-f0-9]+$"  manifest;
  "~^/v2/.+/manifests/[^:/]+$"                      tag;
  "~^/v2/.+/referrers/[^/]+$"                       referrers;
}"""

# Names and digests need no encoded character but the ':' of a digest, which some clients encode.
REQUESTS = r"""
map $request_uri $crooked {
  default                                    no;
  "~*^[^?]*(%2[ef]|%5c|//|/\.\.?(/|\?|$))"  yes;
}
map "$request_method:$kind" $writes {
  default                                              yes;
  "~^(GET|HEAD):(blob|manifest|tag|referrers|meta)$"   no;
}
map "$request_method:$kind" $claims_a_manifest {
  default                                    0;
  "~^HEAD:(tag|manifest)$"                   1;
}""".strip()

# A request is counted once its location is chosen, which is after it was looked whether writes are held.
COUNT_OF_WRITES = r"""
map "$writes $uri" $write_of {
  default                                                         "";
  "~^yes /v2/"                                                    $registry;
  "~^[a-z]+ /edge/registries/(?<asked_registry>[a-z0-9-]+)/idle$"  $asked_registry;
}
limit_conn_zone $write_of zone=writes:1m;
limit_conn_log_level info;""".strip()


def registry_maps(routes: Sequence[Route]) -> str:
    """`$registry` by the path, and its upstreams: `$primary`, `$local`, with their hosts."""
    default = next((route.registry for route in routes if not route.prefix), "-")
    lines = [f"default {default};"]
    # `.+` before the verb: with the prefix `team/`, /v2/team/manifests/v1 is the repository `team`, not one below it
    lines += [
        f'"~^/v2/{_escaped(route.prefix)}.+/(manifests|blobs|tags|referrers)/" {route.registry};'
        for route in routes
        if route.prefix
    ]
    if len(routes) > 1:
        lines += [f'"{path_about(route)}/catalog" {route.registry};' for route in routes]
    if default == "-":  # clients ask /v2/ before anything else; any registry can say that it is one
        lines.append(f'"/v2/" {routes[0].registry};')
    maps = [block("map $uri $registry", lines)]
    maps += _per_registry("primary", [(route.registry, "primary", route.primary) for route in routes])
    local = [(route.registry, "local", route.local) for route in routes if route.local]
    maps += _per_registry("local", local) if local else []
    return "\n".join(maps)


def _per_registry(variable: str, entries: Sequence[tuple[str, str, Upstream]]) -> list[str]:
    # "of": alone, the names default, include, hostnames and volatile would be nginx's own words
    urls = [f'"of {registry}" {upstream.scheme}://{side}_{registry};' for registry, side, upstream in entries]
    hosts = [f'"of {registry}" {upstream.host};' for registry, _, upstream in entries]
    return [
        block(f'map "of $registry" ${variable}', ['default "";', *urls]),
        block(f'map "of $registry" ${variable}_host', ['default "";', *hosts]),
    ]


def _escaped(prefix: str) -> str:
    return prefix.replace(".", r"\.")


def route_map(routes: Sequence[Route]) -> str:
    """`$route`: whom a request is for first."""
    local_first = ("GET:blob", "GET:manifest")
    primary_first = [f"HEAD:{kind}" for kind in ("blob", "manifest")]
    primary_first += [f"{method}:{kind}" for kind in ("tag", "referrers", "meta") for method in ("GET", "HEAD")]
    lines = ["default primary;", '"~^-:" nowhere;']
    for route in routes:
        if route.local is not None:
            lines += [f'"{route.registry}:{request}" local;' for request in local_first]
            lines += [f'"{route.registry}:{request}" fresh;' for request in primary_first]
    return block('map "$registry:$request_method:$kind" $route', lines)
