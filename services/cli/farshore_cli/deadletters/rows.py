"""The list: one line for each letter, as it is read, so that a million need no more memory than ten. Pure."""

from datetime import datetime
from typing import Any

from farshore.records.cloudevent import format_time
from farshore_cli.deadletters.choose import short_service
from farshore_cli.deadletters.entry import Entry, Letter
from farshore_cli.deadletters.printable import printable

_WIDTHS = (8, 20, 9, 16, 9, 26, 34)
_LONGEST_REASON = 300

HEADING = ("offset", "time", "service", "code", "sent back", "source", "about", "reason")


def line(cells: tuple[str, ...]) -> str:
    """Cells in columns; what is too wide pushes the others to the right rather than being cut."""
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, (*_WIDTHS, 0), strict=True)).rstrip()


def table_row(entry: Entry, *, sent_back: bool) -> str:
    """The letter as a line of the table."""
    if isinstance(entry, Letter):
        record = entry.record
        told = (record.at, short_service(record.service), record.code, record.source, str(entry.subject), record.reason)
    else:
        told = (entry.at, "-", "-", "-", "-", f"not a dead letter: {entry.problem}")
    at, service, code, source, about, reason = told
    shown = (printable(text, _LONGEST_REASON) or "-" for text in (source, about, reason))
    return line(
        (
            str(entry.offset),
            _second(at),
            printable(service, 40),
            printable(code, 40),
            "yes" if sent_back else "",
            *shown,
        )
    )


def json_row(entry: Entry, *, sent_back: bool) -> dict[str, Any]:
    """The letter as an object; `problem` only for what is no letter."""
    if not isinstance(entry, Letter):
        return {"offset": entry.offset, "at": format_time(entry.at), "problem": entry.problem, "sent_back": sent_back}
    record, subject = entry.record, entry.subject
    return {
        "offset": entry.offset,
        "at": format_time(record.at),
        "service": record.service,
        "code": record.code,
        "reason": record.reason,
        "source": record.source,
        "registry": subject.registry,
        "site": subject.site,
        "image": subject.image,
        "bytes": len(record.value),
        "sent_back": sent_back,
    }


def _second(time: datetime) -> str:
    return format_time(time)[:19] + "Z"
