"""The health check of the images: ends with 0 when the process of this container answers, else with 1.

usage: alive.py WHERE PATH, where WHERE is the `host:port` that the process listens on, or the environment's variable
that holds it. It asks directly, whatever HTTP_PROXY says.
"""

import http.client
import os
import sys

TIMEOUT_SECONDS = 3.0


def main(where: str, path: str) -> str | None:
    """None when it answers with a status below 400, else what is wrong."""
    host, _, port = (where if ":" in where else os.environ.get(where, "")).rpartition(":")
    if not port.isdigit():
        return f"{where} is no host:port"
    # to connect to 0.0.0.0 or :: is to connect to this machine (Linux)
    connection = http.client.HTTPConnection(host.strip("[]") or "127.0.0.1", int(port), timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{where}: no answer: {error or type(error).__name__}"
    return None if status < 400 else f"{where}: {path} is answered with {status}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
