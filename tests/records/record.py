"""Writes down one record of every kind as this version makes it: `python tests/records/record.py 0.2.0`.

Run it when a version is released, and keep the files of others: each says what its version wrote.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from record_examples import EVENTS, READINESS, TRACEPARENT, TRANSFER, arrival_record

from farshore.records.cloudevent import RecordHeaders
from farshore.records.deadletters import DeadLetter, Redriven
from farshore.records.fences import FenceLifted, FenceRaised, FenceStatus
from farshore.records.moves import MoveMarked
from farshore.records.reconciles import ReconcileRequested
from farshore_coalescer.snapshot_names import Log
from farshore_verifier.window import Window

FOLDER = Path(__file__).parent
AT = datetime(2026, 11, 24, 21, 3, tzinfo=UTC)


def _as_text(headers: RecordHeaders, value: bytes) -> dict[str, Any]:
    return {"headers": [[name, (raw or b"").decode()] for name, raw in headers], "value": value.decode()}


def _records() -> dict[str, dict[str, Any]]:
    """Headers and value of a record of each kind; the first word of its name is the kind."""
    request = ReconcileRequested.because("main", "restart", "it restarted", AT, sites=["fra"], before=7)
    envelopes = {
        **{f"event {one.kind}": one.to_cloudevent(traceparent=TRACEPARENT) for one in EVENTS},
        "transfer": TRANSFER.to_cloudevent(),
        "readiness": READINESS.to_cloudevent(traceparent=TRACEPARENT),
        "request": request.to_cloudevent(),
        "raised": FenceRaised(fence="f1", registry="main", limit_seconds=60, reason="gc", at=AT).to_cloudevent(),
        "lifted": FenceLifted(fence="f1", registry="main", at=AT).to_cloudevent(),
        "status": FenceStatus(fence="f1", registry="main", phase="held", at=AT).to_cloudevent(),
        "moved": MoveMarked(move="m1", registry="main", source="nyc", target="fra", epoch=2, at=AT).to_cloudevent(),
    }
    letter = DeadLetter(
        "farshore-verifier", "farshore.arrivals/3@712", "malformed", "no", AT, b"{}", (("ce_id", b"1"),)
    )
    mark = Redriven(9, "farshore.arrivals", AT)
    return {
        **{name: _as_text(one.headers(), one.data) for name, one in envelopes.items()},
        "arrival": _as_text(*arrival_record()),
        "letter": _as_text(letter.headers(), letter.value),
        "mark": _as_text(mark.headers(), b""),
    }


def _standings() -> dict[str, Any]:
    """A committed offset of the verifier's with what it says of offsets: read but for 8, which is late, and 5."""
    window = Window(3)
    for offset in range(3, 9):
        window.wait_for(offset)
    window.say_late(8)
    mark = window.conclude((offset, True) for offset in (3, 4, 6, 7))
    return {"offset": mark.offset, "metadata": mark.metadata}


def _snapshots() -> dict[str, list[int]]:
    """Names with cover and number of the log `1f3a9c04`, partition 2."""
    log = Log("1f3a9c04", 2)
    return {log.snapshot_name(713, number, "0a1b2c3d"): [713, number] for number in (1, 12)}


if __name__ == "__main__":
    document = {"records": _records(), "standings": _standings(), "snapshots": _snapshots()}
    (FOLDER / f"{sys.argv[1]}.json").write_text(json.dumps(document, indent=2) + "\n")
