"""On PYTHONPATH, makes a service one of a next version, as far as others can tell by what it writes.

While the file that TESTS_NEXT_VERSION names is there, a process that starts writes records with what this version
doesn't know: a field, an attribute, and a header that isn't even text. Python imports a module of this name at its
start.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

ATTRIBUTE = ("ce_since", b"next")
UNKNOWN_HEADERS = [ATTRIBUTE, ("later", b"\xff\xfe")]
UNKNOWN_FIELD = {"later": {"of": ["next"], "at": None}}


def write_as_the_next_version() -> None:
    """Change what this process writes."""
    from farshore.records import arrivals, cloudevent, events, readiness, reconciles, transfers

    for kind, name in ((cloudevent.CloudEvent, "headers"), (arrivals.ArrivalHeaders, "of")):
        _after(kind, name, lambda headers: [*headers, *UNKNOWN_HEADERS])
    if "farshore_receiver" in sys.orig_argv:  # it has its own encoder; others do without the package
        from farshore_receiver import encode

        _after(encode, "encode", lambda record: (record[0], [*record[1], *UNKNOWN_HEADERS]))
    models: list[type[BaseModel]] = [
        events.Event,
        readiness.Readiness,
        reconciles.ReconcileRequested,
        transfers.TransferRecord,
    ]
    for model in models:
        _after(model, "model_dump_json", lambda text: json.dumps(json.loads(text) | UNKNOWN_FIELD))


def _after(owner: Any, name: str, change: Any) -> None:
    """Have the result of a function, or of a method of the class `owner`, changed."""
    before = getattr(owner, name)

    def changed(*arguments: Any, **options: Any) -> Any:
        return change(before(*arguments, **options))

    setattr(owner, name, changed)


FLAG = Path(os.environ.get("TESTS_NEXT_VERSION", "/nowhere"))
if FLAG.exists() and any(word.startswith("farshore_") for word in sys.orig_argv):
    write_as_the_next_version()
