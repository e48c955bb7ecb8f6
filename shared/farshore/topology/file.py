"""Reads a topology file: YAML, strict, and every complaint with its line."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from farshore.errors import ConfigurationError
from farshore.topology.document import compose, construct, line_of_error
from farshore.topology.fields import FORMS
from farshore.topology.model import Topology

MAX_BYTES = 256_000
"""A topology larger than this is a mistake, not a topology."""

_MOST_PROBLEMS = 50
_NOT_IN_THE_FILE = ("list[", "literal[", "[key]")
"""What pydantic adds to an error's location: the branches of a union, and that a key is meant."""


class TopologyError(ConfigurationError):
    """A topology that can't be used; `problems` has one line each, `file:line: what is wrong`."""

    def __init__(self, source: str, problems: Sequence[str], *, hint: str = "see docs/topology.md") -> None:
        super().__init__("read topology", source, "; ".join(problems), hint=hint)
        self.problems = tuple(problems)


def load_topology(path: Path) -> Topology:
    """Read and check the file at `path`; raises TopologyError."""
    return parse_content(read_content(path), str(path))


def read_content(path: Path) -> bytes:
    """What the file says, as far as a topology may be long; raises TopologyError."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise TopologyError(
            str(path), [f"{path}: {error.strerror}"], hint="name a file that this user can read"
        ) from error


def parse_content(content: bytes, source: str) -> Topology:
    """Check what was read from the file `source`; raises TopologyError."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TopologyError(source, [f"{source}:{line}: not UTF-8 at byte {error.start}"]) from error
    return parse_topology(text, source)


def parse_topology(text: str, source: str) -> Topology:
    """Check the YAML `text`; `source` names it in complaints. Raises TopologyError."""
    if len(text) > MAX_BYTES:
        raise TopologyError(source, [f"{source}: larger than {MAX_BYTES} bytes"])
    try:
        document = compose(text)
    except yaml.YAMLError as error:
        line, problem = line_of_error(error, text)
        raise TopologyError(source, [f"{source}:{line}: {problem}"]) from None  # its text may quote a secret
    if document is None:
        raise TopologyError(source, [f"{source}:1: the file is empty"])
    surprises = list(_surprises(document, source))
    if surprises:
        raise TopologyError(source, _first_of(surprises))
    try:
        return Topology.model_validate(construct(document))
    except ValidationError as error:
        details = [detail for detail in error.errors() if not _is_other_form(detail)]
        raise TopologyError(source, _first_of([_complaint(document, source, detail) for detail in details])) from error


def _first_of(problems: Sequence[str]) -> Sequence[str]:
    more = len(problems) - _MOST_PROBLEMS
    return [*problems[:_MOST_PROBLEMS], f"and {more} more"] if more > 0 else problems


def _surprises(node: yaml.Node, source: str) -> Iterator[str]:
    """Duplicate keys (YAML keeps the last without a word) and keys that are no plain words."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                yield f"{source}:{line}: a key has to be a word"
                continue
            if key.value in seen:
                yield f"{source}:{line}: {key.value} is there twice"
            seen.add(key.value)
            yield from _surprises(value, source)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _surprises(item, source)


def _is_other_form(detail: Mapping[str, Any]) -> bool:
    """Whether this complains that a list is not a word, or a word not a list, where either is allowed."""
    branch = str(detail["loc"][-1]) if detail["loc"] else ""
    return branch.startswith("literal[" if isinstance(detail["input"], list) else "list[")


def _complaint(document: yaml.Node, source: str, detail: Mapping[str, Any]) -> str:
    location = [part for part in detail["loc"] if not str(part).startswith(_NOT_IN_THE_FILE)]
    place = f"{source}:{_line_of(document, location)}"
    path = ".".join(str(part) for part in location)
    match detail["type"]:
        case "extra_forbidden":
            return f"{place}: unknown key {path}"
        case "missing":
            return f"{place}: {path} is missing"
        case "topology":
            return f"{place}: {detail['msg']}"
        case "string_pattern_mismatch":
            message = FORMS.get(detail["ctx"]["pattern"], detail["msg"])
        case _:
            message = detail["msg"].removeprefix("Value error, ")
    return f"{place}: {path}: {message}" if path else f"{place}: {message}"


def _line_of(node: yaml.Node, location: Sequence[str | int]) -> int:
    """The line of the deepest part of `location` that is in the document."""
    line = node.start_mark.line + 1
    for part in location:
        found: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, found = key.start_mark.line + 1, value
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = node.value[part]
            line = found.start_mark.line + 1
        if found is None:
            break
        node = found
    return line
