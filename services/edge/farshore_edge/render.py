"""Renders the nginx configuration of a site's edge. Pure: topology in, text out. Its parts are in `nginx/`.

The rules, and why (each was tried against real clients):

- What is immutable, GET of blobs and manifests by digest, is read from the site's replica; where the replica can't
  serve it, from the primary. A replica's 500 counts too: distribution 2.8 rewrites
  tag links in place, and a snapshot can catch one empty.
- Tags, lists, `/v2/` and every HEAD ask the primary first. A stale "exists" would make a client skip its upload, its
  manifest or its tag (crane does), and the write would be lost. When the primary can't be reached, the replica answers,
  marked `Warning: 110`. A HEAD of a manifest then has no digest: a pusher that asks for it would take the replica's for
  the primary's and skip its write; a puller that misses it asks with GET.
- 404 for referrers is a registry's word that it has no such list, and is passed on from the replica too.
- Writes and upload sessions, all methods, go to the primary: a replica would say 405, or 404 for a session.
- Unknown is not absent: where nobody who knows could be asked, the answer is 503 with Retry-After, never 404.
- While a file with a registry's name is in the hold folder, its writes are answered 503 with Retry-After; reads go on.
  nginx looks for it at each request: no reload, and no time at which one worker holds and another doesn't.
- How many writes of a registry are under way is counted (limit_conn), so that whoever holds them can tell when the last
  one has ended: `/edge/registries/NAME/idle` is refused while one is.
- A path that says its meaning in two ways (encoded slashes and dots, `..`, `//`) is refused: nginx chooses the registry
  by the decoded path, and the registry might read another repository in the raw one.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from farshore.errors import ConfigurationError
from farshore.topology import Edge, Topology
from farshore_edge.nginx.about import NEXT_PAGE, about, catalogues, idle
from farshore_edge.nginx.locations import locations
from farshore_edge.nginx.logs import logs
from farshore_edge.nginx.maps import COUNT_OF_WRITES, KINDS, REQUESTS, registry_maps, route_map
from farshore_edge.nginx.proxying import CONNECT_SECONDS, FRESH_SECONDS, PROXY, ca_file, tls_to_registries, upstreams
from farshore_edge.nginx.syntax import block, hold_file
from farshore_edge.routes import Route, routes_of
from farshore_edge.runtime import Runtime, quoted, user_name

_DIGEST = "@DIGEST@"
_DIGEST_LINE = "# Rules "

_HEALTH = """\
location = /edge/health {
  access_log off;
  default_type text/plain;
  return 200 "ok\\n";
}
location / { return 404; }"""


def digest_of_rules(text: str) -> str:
    """The name that rendered rules have for themselves: a change of anything in them changes it."""
    line = next(line for line in text.splitlines() if line.startswith(_DIGEST_LINE))
    return line.removeprefix(_DIGEST_LINE)


def files_read(topology: Topology, site: str, runtime: Runtime) -> list[Path]:
    """The files that nginx reads with the rules, and again only when it is reloaded."""
    routes = routes_of(topology, site)
    edge = topology.sites[site].edge
    if edge is None:
        return []
    files = [Path(file) for file in (edge.certificate, edge.certificate_key) if file]
    schemes = {upstream.scheme for route in routes for _, upstream in route.upstreams}
    return [*files, ca_file(edge, runtime)] if "https" in schemes else files


def render(topology: Topology, site: str, runtime: Runtime | None = None, *, files: str = "") -> str:
    """The configuration of `site`'s edge, for nginx 1.22 or later.

    `files`: a digest of what `files_read` hold, so that rules with other files have another name for themselves.
    All that stands in it comes from the checked topology and from `runtime`. Raises ConfigurationError where the
    site is unknown, has no edge, or a path can't be written safely.
    """
    runtime = runtime or Runtime()
    routes = routes_of(topology, site)
    edge = topology.sites[site].edge
    if edge is None:
        raise ConfigurationError("render edge", site, "the site has no edge in the topology", hint="add `edge:` to it")
    has_replica = any(route.local for route in routes)
    http = [
        logs(runtime),
        PROXY,
        tls_to_registries(ca_file(edge, runtime)),
        *upstreams(routes),
        KINDS,
        REQUESTS,
        registry_maps(routes),
        route_map(routes),
        NEXT_PAGE if len(routes) > 1 else "",
        COUNT_OF_WRITES,
        block(
            "server",
            [
                _server_head(edge),
                *(about(route, runtime) for route in routes),
                *(idle(route) for route in routes),
                *(catalogues(routes) if len(routes) > 1 else []),
                *locations(runtime, has_replica=has_replica),
            ],
        ),
        *_for_the_agent(runtime, routes),
    ]
    text = "\n".join([_head(site, runtime, files), block("http", http)])
    return text.replace(_DIGEST, f"sha256:{hashlib.sha256(text.encode()).hexdigest()}")


def _head(site: str, runtime: Runtime, files: str) -> str:
    lines = [
        f"# Edge of site {site}. Rendered by farshore-edge from the topology: change that and render again.",
        f"{_DIGEST_LINE}{_DIGEST}",
        *([f"# Files {files}"] if files else []),
        f"pid {quoted(runtime.pid_file)};",
        f"error_log {quoted(runtime.error_log)} warn;",
        "daemon off;",
        *([f"user {user_name(runtime.user)};"] if runtime.user else []),
        "master_process off;" if runtime.single_process else "worker_processes auto;",
        "pcre_jit on;",
        "events { worker_connections 1024; }",
    ]
    return "\n".join(lines)


def _server_head(edge: Edge) -> str:
    address = f"*{edge.listen}" if edge.listen.startswith(":") else edge.listen
    lines = [f"listen {address};"]
    if edge.certificate and edge.certificate_key:
        lines = [
            f"listen {address} ssl;",
            f"ssl_certificate {quoted(Path(edge.certificate))};",
            f"ssl_certificate_key {quoted(Path(edge.certificate_key))};",
            "ssl_protocols TLSv1.2 TLSv1.3;",
            "ssl_session_cache shared:edge:10m;",
        ]
    return "\n".join([*lines, "set $served -;", _HEALTH])


def _for_the_agent(runtime: Runtime, routes: Sequence[Route]) -> list[str]:
    """What the agent asks: the rules that these workers run, whom they reach, and whose writes they see held."""
    if runtime.agent_listen is None:
        return []
    lines = [f"listen {runtime.agent_listen};", "access_log off;", f'location = /rules {{ return 200 "{_DIGEST}"; }}']
    # "/.": a folder can be seen by those who may not look into it
    folder = hold_file(runtime.hold_dir, ".")
    lines += [f"location = /holds {{ if (-d {folder}) {{ return 200 seen; }} return 200 unseen; }}"]
    lines += [
        f"location = /{name} {{ proxy_pass {upstream.scheme}://{name}/v2/; proxy_ssl_name {upstream.host};"
        f" proxy_connect_timeout {CONNECT_SECONDS}s; proxy_read_timeout {FRESH_SECONDS}s; }}"
        for route in routes
        for name, upstream in route.upstreams
    ]
    return [block("server", [*lines, *(about(route, runtime) for route in routes)])]
