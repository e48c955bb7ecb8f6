"""Renders the nginx configuration of a site's edge. Pure: topology in, text out.

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
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import indent

from farshore.errors import ConfigurationError
from farshore.topology import Edge, Topology
from farshore_edge.routes import Route, Upstream, routes_of
from farshore_edge.runtime import Runtime, quoted, user_name

CONNECT_SECONDS = 3
"""Longest wait for the primary to accept a connection."""
FRESH_SECONDS = 3
"""Longest silence of the primary on a small request before the replica answers in its place."""
MOST_WRITES = 60000
"""How many writes of one registry an edge lets through at once: no bound that is meant to be met."""
RETRY_AFTER_SECONDS = 5
"""What a client is told when nobody who knows could be asked."""


_DIGEST = "@DIGEST@"
_DIGEST_LINE = "# Rules "


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
    schemes = {upstream.scheme for route in routes for _, upstream in _named_upstreams(route)}
    return [*files, _ca_file(edge, runtime)] if "https" in schemes else files


def _ca_file(edge: Edge, runtime: Runtime) -> Path:
    return Path(edge.ca_file) if edge.ca_file else runtime.ca_file


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
        _logs(runtime),
        _PROXY,
        _tls_to_registries(_ca_file(edge, runtime)),
        *_upstreams(routes),
        _KINDS,
        _REQUESTS,
        _registry_maps(routes),
        _route_map(routes),
        _NEXT_PAGE if len(routes) > 1 else "",
        _COUNT_OF_WRITES,
        _block(
            "server",
            [
                _server_head(edge),
                *(_about(route, runtime) for route in routes),
                *(_idle(route) for route in routes),
                *(_catalogues(routes) if len(routes) > 1 else []),
                *_locations(runtime, has_replica=has_replica),
            ],
        ),
        *_for_the_agent(runtime, routes),
    ]
    text = "\n".join([_head(site, runtime, files), _block("http", http)])
    return text.replace(_DIGEST, f"sha256:{hashlib.sha256(text.encode()).hexdigest()}")


def _for_the_agent(runtime: Runtime, routes: Sequence[Route]) -> list[str]:
    """What the agent asks: the rules that these workers run, whom they reach, and whose writes they see held."""
    if runtime.agent_listen is None:
        return []
    lines = [f"listen {runtime.agent_listen};", "access_log off;", f'location = /rules {{ return 200 "{_DIGEST}"; }}']
    # "/.": a folder can be seen by those who may not look into it
    folder = _hold_file(runtime.hold_dir, ".")
    lines += [f"location = /holds {{ if (-d {folder}) {{ return 200 seen; }} return 200 unseen; }}"]
    lines += [
        f"location = /{name} {{ proxy_pass {upstream.scheme}://{name}/v2/; proxy_ssl_name {upstream.host};"
        f" proxy_connect_timeout {CONNECT_SECONDS}s; proxy_read_timeout {FRESH_SECONDS}s; }}"
        for route in routes
        for name, upstream in _named_upstreams(route)
    ]
    return [_block("server", [*lines, *(_about(route, runtime) for route in routes)])]


def _block(name: str, parts: Iterable[str]) -> str:
    return f"{name} {{\n{indent(chr(10).join(part.rstrip() for part in parts if part), '  ')}\n}}\n"


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


def _logs(runtime: Runtime) -> str:
    folders = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    lines = [f"{folder}_temp_path {quoted(runtime.temp_dir / f'nginx-{folder}')};" for folder in folders]
    # a client that tries TLS first is refused before any location could say who served it
    lines.append("uninitialized_variable_warn off;")
    return "\n".join([*lines, _LOG_FORMAT, f"access_log {quoted(runtime.access_log)} farshore buffer=32k flush=1s;"])


_LOG_FORMAT = """\
log_format farshore escape=json
  '{"time":"$time_iso8601","method":"$request_method","uri":"$uri","status":$status,"registry":"$registry",'
  '"served":"$served","upstream":"$upstream_addr","upstream_status":"$upstream_status",'
  '"bytes_received":$request_length,"bytes_sent":$bytes_sent,"seconds":$request_time}';"""

# Bodies are streamed both ways, never spooled: a layer may be many gigabytes. $http_host keeps the port, so that the
# Location of an upload session leads back to this edge.
_PROXY = """\
server_tokens off;
client_max_body_size 0;
client_body_timeout 900s;
proxy_http_version 1.1;
proxy_set_header Connection "";
proxy_set_header Host $http_host;
proxy_set_header X-Forwarded-Host $http_host;
proxy_set_header X-Forwarded-Proto $scheme;
proxy_set_header X-Forwarded-For $remote_addr;
proxy_request_buffering off;
proxy_next_upstream off;
proxy_buffering off;
proxy_buffer_size 128k;
proxy_buffers 4 128k;
proxy_busy_buffers_size 256k;
proxy_max_temp_file_size 0;
proxy_read_timeout 900s;
proxy_send_timeout 900s;"""


def _tls_to_registries(ca_file: Path) -> str:
    return "\n".join(
        [
            "proxy_ssl_server_name on;",
            "proxy_ssl_verify on;",
            "proxy_ssl_verify_depth 4;",
            f"proxy_ssl_trusted_certificate {quoted(ca_file)};",
        ]
    )


def _upstreams(routes: Sequence[Route]) -> list[str]:
    # max_fails=0: otherwise one refused connection would take a registry out of service for ten seconds
    return [
        _block(f"upstream {name}", [f"server {upstream.address} max_fails=0;", "keepalive 32;"])
        for route in routes
        for name, upstream in _named_upstreams(route)
    ]


def _named_upstreams(route: Route) -> list[tuple[str, Upstream]]:
    named = [(f"primary_{route.registry}", route.primary)]
    if route.local is not None:
        named.append((f"local_{route.registry}", route.local))
    return named


# The most specific first: nginx takes the first regular expression that matches.
_KINDS = """\
map $uri $kind {
  default                                           meta;
  "~^/v2/.+/blobs/uploads/"                         session;
  "~^/v2/.+/blobs/[a-z0-9+._-]+:[A-Fa-f0-9]+$"      blob;
  "~^/v2/.+/manifests/[a-z0-9+._-]+:[A-Fa-f0-9]+$"  manifest;
  "~^/v2/.+/manifests/[^:/]+$"                      tag;
  "~^/v2/.+/referrers/[^/]+$"                       referrers;
}"""


# Names and digests need no encoded character but the ':' of a digest, which some clients encode.
_REQUESTS = r"""
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


def _registry_maps(routes: Sequence[Route]) -> str:
    default = next((route.registry for route in routes if not route.prefix), "-")
    lines = [f"default {default};"]
    # `.+` before the verb: with the prefix `team/`, /v2/team/manifests/v1 is the repository `team`, not one below it
    lines += [
        f'"~^/v2/{_escaped(route.prefix)}.+/(manifests|blobs|tags|referrers)/" {route.registry};'
        for route in routes
        if route.prefix
    ]
    if len(routes) > 1:
        lines += [f'"{_path_about(route)}/catalog" {route.registry};' for route in routes]
    if default == "-":  # clients ask /v2/ before anything else; any registry can say that it is one
        lines.append(f'"/v2/" {routes[0].registry};')
    maps = [_block("map $uri $registry", lines)]
    maps += _per_registry("primary", [(route.registry, "primary", route.primary) for route in routes])
    local = [(route.registry, "local", route.local) for route in routes if route.local]
    maps += _per_registry("local", local) if local else []
    return "\n".join(maps)


def _per_registry(variable: str, entries: Sequence[tuple[str, str, Upstream]]) -> list[str]:
    # "of": alone, the names default, include, hostnames and volatile would be nginx's own words
    urls = [f'"of {registry}" {upstream.scheme}://{side}_{registry};' for registry, side, upstream in entries]
    hosts = [f'"of {registry}" {upstream.host};' for registry, _, upstream in entries]
    return [
        _block(f'map "of $registry" ${variable}', ['default "";', *urls]),
        _block(f'map "of $registry" ${variable}_host', ['default "";', *hosts]),
    ]


def _escaped(prefix: str) -> str:
    return prefix.replace(".", r"\.")


def _route_map(routes: Sequence[Route]) -> str:
    local_first = ("GET:blob", "GET:manifest")
    primary_first = [f"HEAD:{kind}" for kind in ("blob", "manifest")]
    primary_first += [f"{method}:{kind}" for kind in ("tag", "referrers", "meta") for method in ("GET", "HEAD")]
    lines = ["default primary;", '"~^-:" nowhere;']
    for route in routes:
        if route.local is not None:
            lines += [f'"{route.registry}:{request}" local;' for request in local_first]
            lines += [f'"{route.registry}:{request}" fresh;' for request in primary_first]
    return _block('map "$registry:$request_method:$kind" $route', lines)


# A request is counted once its location is chosen, which is after it was looked whether writes are held.
_COUNT_OF_WRITES = r"""
map "$writes $uri" $write_of {
  default                                                         "";
  "~^yes /v2/"                                                    $registry;
  "~^[a-z]+ /edge/registries/(?<asked_registry>[a-z0-9-]+)/idle$"  $asked_registry;
}
limit_conn_zone $write_of zone=writes:1m;
limit_conn_log_level info;""".strip()


def _about(route: Route, runtime: Runtime) -> str:
    """What this edge takes for the registry's primary, and whether it holds writes."""
    told = f'{{"registry":"{route.registry}","primary":"{route.primary_site}","epoch":{route.epoch},"held":$held}}'
    return _block(
        f"location = {_path_about(route)}",
        [
            "access_log off;",
            "default_type application/json;",
            "set $held false;",
            f"if (-f {_hold_file(runtime.hold_dir, route.registry)}) {{ set $held true; }}",
            f"return 200 '{told}';",
        ],
    )


def _idle(route: Route) -> str:
    """Whether any write of the registry is under way."""
    # try_files, unlike return, comes after the counting
    lines = ["access_log off;", "limit_conn writes 1;", "limit_conn_status 423;", "try_files /none =204;"]
    return _block(f"location = {_path_about(route)}/idle", lines)


# A registry names itself in the link to its next page; clients of the edge follow it at the edge.
_NEXT_PAGE = r"""
map $upstream_http_link $next_page {
  default                                        "";
  "~^<[^?>]*/v2/_catalog\?(?<page>[^>\s]+)>"  "<$uri?$page>; rel=\"next\"";
}""".strip()


def _catalogues(routes: Sequence[Route]) -> list[str]:
    """Nobody has the list of all; each registry's own is at a path of its own."""
    paths = ", ".join(f"{_path_about(route)}/catalog" for route in routes)
    several = _oci_error("UNSUPPORTED", f"several registries are served here, each has its own list: {paths}")
    return [
        _block("location = /v2/_catalog", ["default_type application/json;", f"return 405 '{several}';"]),
        *(_catalogue(route) for route in routes),
    ]


def _catalogue(route: Route) -> str:
    upstream = route.primary
    return _block(
        f"location = {_path_about(route)}/catalog",
        [
            "recursive_error_pages on;",
            "set $served primary;",
            f"proxy_pass {upstream.scheme}://primary_{route.registry}/v2/_catalog$is_args$args;",
            f"proxy_ssl_name {upstream.host};",
            f"proxy_connect_timeout {CONNECT_SECONDS}s;",
            "proxy_hide_header Link;",
            "error_page 502 504 = @down;",
            "add_header X-Farshore-Served primary always;",
            "add_header Link $next_page;",
        ],
    )


def _path_about(route: Route) -> str:
    return f"/edge/registries/{route.registry}"


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


_HEALTH = """\
location = /edge/health {
  access_log off;
  default_type text/plain;
  return 200 "ok\\n";
}
location / { return 404; }"""


def _locations(runtime: Runtime, *, has_replica: bool) -> list[str]:
    """418 to 424 only lead to a named location, which keeps method and body; no client ever sees them."""
    routes = [_ROUTES, _READ_LOCALLY] if has_replica else [_ALL_TO_PRIMARY]
    entry = _block("location /v2/", [_refusals(runtime.hold_dir), *routes])
    fallbacks = [_FRESH, *_STALE] if has_replica else []
    return [entry, *fallbacks, _PRIMARY, _DOWN, _HELD, _NOWHERE, _AMBIGUOUS]


def _refusals(hold_dir: Path) -> str:
    """What is answered before anybody is asked."""
    return f"""\
recursive_error_pages on;
error_page 418 = @primary;
error_page 420 = @nowhere;
error_page 421 = @held;
error_page 423 = @ambiguous;
if ($crooked = yes) {{ return 423; }}
if ($route = nowhere) {{ return 420; }}
set $hold $writes;
if (-f {_hold_file(hold_dir, "$registry")}) {{ set $hold "$writes held"; }}
if ($hold = "yes held") {{ return 421; }}"""


def _hold_file(hold_dir: Path, registry: str) -> str:
    return f'{quoted(hold_dir)[:-1]}/{registry}"'


def _oci_error(code: str, message: str) -> str:
    """The error body of the OCI distribution specification 1.1, "Error codes"."""
    return json.dumps({"errors": [{"code": code, "message": message, "detail": None}]})


_ALL_TO_PRIMARY = "return 418;"

_ROUTES = """\
error_page 419 = @fresh;
if ($route = primary) { return 418; }
if ($route = fresh)   { return 419; }"""

_ASK_REPLICA = """\
proxy_pass $local;
proxy_ssl_name $local_host;
proxy_connect_timeout 1s;
proxy_read_timeout 60s;
proxy_intercept_errors on;
add_header X-Farshore-Served local always;"""

_READ_LOCALLY = f"""\
set $served local;
{_ASK_REPLICA}
error_page 404 500 502 503 504 = @primary;"""

_FRESH = f"""\
location @fresh {{
  recursive_error_pages on;
  set $served primary;
  proxy_pass $primary;
  proxy_ssl_name $primary_host;
  proxy_connect_timeout {CONNECT_SECONDS}s;
  proxy_read_timeout {FRESH_SECONDS}s;
  proxy_intercept_errors on;
  error_page 500 502 503 504 = @stale;
  add_header X-Farshore-Served primary always;
}}"""

_STALE_ANSWER = f"""\
set $served stale;
{_ASK_REPLICA}
add_header X-Farshore-State stale always;
add_header Warning '110 - "response may be stale"' always;"""

_STALE = [
    _block(
        "location @stale",
        [
            "recursive_error_pages on;",
            "error_page 422 = @stale_without_digest;",
            "error_page 424 = @stale_referrers;",
            "if ($claims_a_manifest) { return 422; }",
            "if ($kind = referrers) { return 424; }",
            _STALE_ANSWER,
            "error_page 404 500 502 503 504 = @down;",
        ],
    ),
    _block(
        "location @stale_without_digest",
        [
            "recursive_error_pages on;",
            "proxy_hide_header Docker-Content-Digest;",
            "proxy_hide_header ETag;",
            _STALE_ANSWER,
            "error_page 404 500 502 503 504 = @down;",
        ],
    ),
    _block(
        "location @stale_referrers",
        ["recursive_error_pages on;", _STALE_ANSWER, "error_page 500 502 503 504 = @down;"],
    ),
]

_PRIMARY = f"""\
location @primary {{
  limit_conn writes {MOST_WRITES};
  recursive_error_pages on;
  set $served primary;
  proxy_pass $primary;
  proxy_ssl_name $primary_host;
  proxy_connect_timeout {CONNECT_SECONDS}s;
  error_page 502 504 = @down;
  add_header X-Farshore-Served primary always;
}}"""

_DOWN = f"""\
location @down {{
  set $served nobody;
  default_type application/json;
  add_header Retry-After {RETRY_AFTER_SECONDS} always;
  add_header X-Farshore-State not-here-yet always;
  return 503 '{_oci_error("UNAVAILABLE", "the primary can not be reached and this is not at the site")}';
}}"""

_HELD = f"""\
location @held {{
  set $served nobody;
  default_type application/json;
  add_header Retry-After {RETRY_AFTER_SECONDS} always;
  add_header X-Farshore-State held always;
  return 503 '{_oci_error("UNAVAILABLE", "writes are held while the registry moves; try again")}';
}}"""

_AMBIGUOUS = f"""\
location @ambiguous {{
  default_type application/json;
  return 400 '{_oci_error("NAME_INVALID", "the path has encoded slashes or dots, or empty or dotted parts")}';
}}"""

_NOWHERE = f"""\
location @nowhere {{
  default_type application/json;
  return 404 '{_oci_error("NAME_UNKNOWN", "no registry holds repositories of this name")}';
}}"""
