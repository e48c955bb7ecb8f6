"""Where nginx writes its log, its temporary files, and what stands in a line of the log."""

from farshore_edge.runtime import Runtime, quoted

_LOG_FORMAT = """\
log_format farshore escape=json
  '{"time":"$time_iso8601","method":"$request_method","uri":"$uri","status":$status,"registry":"$registry",'
  '"served":"$served","upstream":"$upstream_addr","upstream_status":"$upstream_status",'
  '"bytes_received":$request_length,"bytes_sent":$bytes_sent,"seconds":$request_time}';"""


def logs(runtime: Runtime) -> str:
    """One line of JSON for each request, with who served it."""
    folders = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    lines = [f"{folder}_temp_path {quoted(runtime.temp_dir / f'nginx-{folder}')};" for folder in folders]
    # a client that tries TLS first is refused before any location could say who served it
    lines.append("uninitialized_variable_warn off;")
    return "\n".join([*lines, _LOG_FORMAT, f"access_log {quoted(runtime.access_log)} farshore buffer=32k flush=1s;"])
