"""One letter with all that it holds: pure. Headers that may hold a credential are blanked."""

import base64
import json
from typing import Any

from farshore.records.cloudevent import format_time
from farshore.records.deadletters import Redriven, may_be_secret
from farshore.telemetry.redact import BLANK, redact
from farshore_cli.deadletters.entry import Entry, Letter
from farshore_cli.deadletters.printable import printable, printable_bytes
from farshore_cli.deadletters.route import Refusal, objection, route

MOST_CHARACTERS = 65_536
"""How much of a value is shown as text; `--output json` has it all."""


def as_text(entry: Entry, mark: Redriven | None) -> str:
    """For people: what it is, the original's headers, and its bytes, JSON where they are."""
    facts = {name: str(told) for name, told in _facts(entry, mark).items() if told is not None}
    lines = [f"{name.replace('_', ' '):<10} {printable(told, 2000)}" for name, told in facts.items()]
    lines.append("headers")
    lines += [f"  {printable(name, 200)}: {printable(told, 2000)}" for name, told in _headers(entry)]
    value = entry.record.value if isinstance(entry, Letter) else entry.value
    found = _json(value)
    lines.append(f"value, {len(value)} bytes{'' if found is None else ', as JSON'}")
    if found is None:
        shown = printable_bytes(value, MOST_CHARACTERS)
    else:
        pretty = json.dumps(found, indent=2, ensure_ascii=False)
        shown = "\n".join(printable(part) for part in pretty[:MOST_CHARACTERS].split("\n"))
        shown += "…" if len(pretty) > MOST_CHARACTERS else ""
    return "\n".join([*lines, shown])


def as_json(entry: Entry, mark: Redriven | None) -> dict[str, Any]:
    """For programs; `value_base64` is the original, byte for byte, `value` what it says where it is JSON."""
    value = entry.record.value if isinstance(entry, Letter) else entry.value
    return {
        **_facts(entry, mark),
        "headers": [[name, told] for name, told in _headers(entry)],
        "value": _json(value),
        "value_base64": base64.b64encode(value).decode(),
    }


def _facts(entry: Entry, mark: Redriven | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"offset": entry.offset}
    if isinstance(entry, Letter):
        record, subject = entry.record, entry.subject
        facts |= {
            "at": format_time(record.at),
            "service": record.service,
            "source": record.source,
            "code": record.code,
            "reason": record.reason,
            "registry": subject.registry,
            "site": subject.site,
            "image": subject.image,
        }
    else:
        facts |= {"at": format_time(entry.at), "problem": entry.problem}
    facts["key"] = entry.key.decode(errors="backslashreplace")
    facts["sent_back"] = f"{format_time(mark.at)} to {mark.to}" if mark else None
    facts["redrive"] = None if mark else _prospect(entry)
    return facts


def _prospect(entry: Entry) -> str:
    where = route(entry)
    refusal = where if isinstance(where, Refusal) else objection(entry) if isinstance(entry, Letter) else None
    return f"refused: {refusal}" if refusal else f"goes to {where}"


def _headers(entry: Entry) -> list[tuple[str, str]]:
    headers = entry.record.original_headers if isinstance(entry, Letter) else entry.headers
    return [
        (name, BLANK if may_be_secret(name) else redact(raw.decode(errors="backslashreplace"))) for name, raw in headers
    ]


def _json(value: bytes) -> Any:
    """The value where it is JSON; None where it isn't, or where showing it so would change it, as a key twice."""
    try:
        found = json.loads(value, object_pairs_hook=_without_duplicates)
        json.dumps(found, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    return found


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found
