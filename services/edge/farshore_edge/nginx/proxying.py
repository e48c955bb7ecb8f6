"""How nginx speaks to the registries."""

from collections.abc import Sequence
from pathlib import Path

from farshore.topology import Edge
from farshore_edge.nginx.syntax import block
from farshore_edge.routes import Route
from farshore_edge.runtime import Runtime, quoted

CONNECT_SECONDS = 3
"""Longest wait for the primary to accept a connection."""
FRESH_SECONDS = 3
"""Longest silence of the primary on a small request before the replica answers in its place."""

# Bodies are streamed both ways, never spooled: a layer may be many gigabytes. $http_host keeps the port, so that the
# Location of an upload session leads back to this edge.
PROXY = """\
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


def ca_file(edge: Edge, runtime: Runtime) -> Path:
    """The certificates that registries are checked against."""
    return Path(edge.ca_file) if edge.ca_file else runtime.ca_file


def tls_to_registries(ca_file: Path) -> str:
    """How registries behind https:// are checked."""
    return "\n".join(
        [
            "proxy_ssl_server_name on;",
            "proxy_ssl_verify on;",
            "proxy_ssl_verify_depth 4;",
            f"proxy_ssl_trusted_certificate {quoted(ca_file)};",
        ]
    )


def upstreams(routes: Sequence[Route]) -> list[str]:
    """The registries' addresses, under the names that `Route.upstreams` gives them."""
    # max_fails=0: otherwise one refused connection would take a registry out of service for ten seconds
    return [
        block(f"upstream {name}", [f"server {upstream.address} max_fails=0;", "keepalive 32;"])
        for route in routes
        for name, upstream in route.upstreams
    ]
