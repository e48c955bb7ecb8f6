"""Who answers a request for /v2/, and who does when that one can't."""

from pathlib import Path

from farshore_edge.nginx.proxying import CONNECT_SECONDS, FRESH_SECONDS
from farshore_edge.nginx.syntax import block, hold_file, oci_error
from farshore_edge.runtime import Runtime

MOST_WRITES = 60000
"""How many writes of one registry an edge lets through at once: no bound that is meant to be met."""
RETRY_AFTER_SECONDS = 5
"""What a client is told when nobody who knows could be asked."""

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
    block(
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
    block(
        "location @stale_without_digest",
        [
            "recursive_error_pages on;",
            "proxy_hide_header Docker-Content-Digest;",
            "proxy_hide_header ETag;",
            _STALE_ANSWER,
            "error_page 404 500 502 503 504 = @down;",
        ],
    ),
    block(
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


def _try_again(name: str, state: str, why: str) -> str:
    """Nobody answers now, but somebody will."""
    return f"""\
location @{name} {{
  set $served nobody;
  default_type application/json;
  add_header Retry-After {RETRY_AFTER_SECONDS} always;
  add_header X-Farshore-State {state} always;
  return 503 '{oci_error("UNAVAILABLE", why)}';
}}"""


_DOWN = _try_again("down", "not-here-yet", "the primary can not be reached and this is not at the site")

_HELD = _try_again("held", "held", "writes are held while the registry moves; try again")

_AMBIGUOUS = f"""\
location @ambiguous {{
  default_type application/json;
  return 400 '{oci_error("NAME_INVALID", "the path has encoded slashes or dots, or empty or dotted parts")}';
}}"""

_NOWHERE = f"""\
location @nowhere {{
  default_type application/json;
  return 404 '{oci_error("NAME_UNKNOWN", "no registry holds repositories of this name")}';
}}"""


def locations(runtime: Runtime, *, has_replica: bool) -> list[str]:
    """418 to 424 only lead to a named location, which keeps method and body; no client ever sees them."""
    routes = [_ROUTES, _READ_LOCALLY] if has_replica else [_ALL_TO_PRIMARY]
    entry = block("location /v2/", [_refusals(runtime.hold_dir), *routes])
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
if (-f {hold_file(hold_dir, "$registry")}) {{ set $hold "$writes held"; }}
if ($hold = "yes held") {{ return 421; }}"""
