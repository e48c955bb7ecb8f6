"""What an edge says of each of its registries, below /edge/registries/NAME."""

from collections.abc import Sequence

from farshore_edge.nginx.proxying import CONNECT_SECONDS
from farshore_edge.nginx.syntax import block, hold_file, oci_error
from farshore_edge.routes import Route
from farshore_edge.runtime import Runtime

# A registry names itself in the link to its next page; clients of the edge follow it at the edge.
NEXT_PAGE = r"""
map $upstream_http_link $next_page {
  default                                        "";
  "~^<[^?>]*/v2/_catalog\?(?<page>[^>\s]+)>"  "<$uri?$page>; rel=\"next\"";
}""".strip()


def path_about(route: Route) -> str:
    """The path below which an edge speaks of the registry."""
    return f"/edge/registries/{route.registry}"


def about(route: Route, runtime: Runtime) -> str:
    """What this edge takes for the registry's primary, and whether it holds writes."""
    told = f'{{"registry":"{route.registry}","primary":"{route.primary_site}","epoch":{route.epoch},"held":$held}}'
    return block(
        f"location = {path_about(route)}",
        [
            "access_log off;",
            "default_type application/json;",
            "set $held false;",
            f"if (-f {hold_file(runtime.hold_dir, route.registry)}) {{ set $held true; }}",
            f"return 200 '{told}';",
        ],
    )


def idle(route: Route) -> str:
    """Whether any write of the registry is under way."""
    # try_files, unlike return, comes after the counting
    lines = ["access_log off;", "limit_conn writes 1;", "limit_conn_status 423;", "try_files /none =204;"]
    return block(f"location = {path_about(route)}/idle", lines)


def catalogues(routes: Sequence[Route]) -> list[str]:
    """Nobody has the list of all; each registry's own is at a path of its own."""
    paths = ", ".join(f"{path_about(route)}/catalog" for route in routes)
    several = oci_error("UNSUPPORTED", f"several registries are served here, each has its own list: {paths}")
    return [
        block("location = /v2/_catalog", ["default_type application/json;", f"return 405 '{several}';"]),
        *(_catalogue(route) for route in routes),
    ]


def _catalogue(route: Route) -> str:
    upstream = route.primary
    return block(
        f"location = {path_about(route)}/catalog",
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
