"""Reads farshore's documents: links, headings, tables, code."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_CODE_SPAN = re.compile(r"`([^`\n]+)`")


def documents() -> list[Path]:
    """All documents that are read by people: those at the root and below docs/."""
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def fences(text: str) -> list[tuple[str, str]]:
    """Fenced blocks: language and content."""
    return [(match[1], match[2]) for match in _FENCE.finditer(text)]


def prose(text: str) -> str:
    """The text without its fenced blocks."""
    return _FENCE.sub("", text)


def code_spans(text: str) -> list[str]:
    """What stands in backticks outside of fenced blocks."""
    return _CODE_SPAN.findall(prose(text))


def links(text: str) -> list[str]:
    """Targets of links and pictures."""
    return [first or second for first, second in _LINK.findall(prose(text))]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the headings."""
    return {slug(heading) for heading in _HEADING.findall(prose(text))}


def slug(heading: str) -> str:
    """GitHub's anchor of a heading: lower case, spaces to hyphens, punctuation dropped."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def section(text: str, heading: str) -> str:
    """What stands below `heading` up to the next one of the same or a higher level."""
    level = len(heading.split(" ", 1)[0])
    below = text.split(f"\n{heading}\n", 1)[1]
    return re.split(rf"^#{{1,{level}}} ", below, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows, without headings' rules; `\\|` within a cell is kept as `|`."""
    found = []
    for line in text.splitlines():
        if line.startswith("| ") and not line.startswith("|--"):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            found.append([cell.strip().replace("\\|", "|") for cell in cells])
    return found
