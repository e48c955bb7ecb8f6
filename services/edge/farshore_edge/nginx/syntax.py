"""What stands in several parts."""

import json
from collections.abc import Iterable
from pathlib import Path
from textwrap import indent

from farshore_edge.runtime import quoted


def block(name: str, parts: Iterable[str]) -> str:
    """`name { … }` with each of `parts` on lines of its own; empty ones are left out."""
    return f"{name} {{\n{indent(chr(10).join(part.rstrip() for part in parts if part), '  ')}\n}}\n"


def hold_file(hold_dir: Path, registry: str) -> str:
    """The file that holds writes of `registry`, as an nginx string."""
    return f'{quoted(hold_dir)[:-1]}/{registry}"'


def oci_error(code: str, message: str) -> str:
    """The error body of the OCI distribution specification 1.1, "Error codes"."""
    return json.dumps({"errors": [{"code": code, "message": message, "detail": None}]})
