"""YAML as a topology file may use it: one plain document whose values mean what they look like.

YAML 1.1, which PyYAML speaks, reads the site `no` as false, `1:30` as 90 and `2024-13-45` as a broken date. Here only
`true`, `false`, `null` and decimal numbers are more than text, as in YAML 1.2's core schema. Aliases (a few nested ones
can stand for gigabytes), tags and merges have no place in a topology and are refused.
"""

import re
from typing import Any

import yaml

_DEEPEST = 20


class _RefusedError(yaml.YAMLError):
    """YAML that is right but has no place in a topology."""

    def __init__(self, problem: str, event: yaml.Event) -> None:
        super().__init__(problem)
        self.problem = problem
        self.problem_mark = event.start_mark


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own way to say it
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose one node, or refuse it before anything is built from it."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self._depth += 1
        if isinstance(event, yaml.AliasEvent):
            raise _RefusedError("aliases (*name) are not allowed", event)
        if getattr(event, "tag", None) is not None:
            raise _RefusedError("tags (!name) are not allowed", event)
        if self._depth > _DEEPEST:
            raise _RefusedError("nested too deep", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"~|null|", ["~", "n", ""]),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,17})", "-+0123456789"),
    ("float", r"[-+]?[0-9]{1,18}\.[0-9]{1,18}", "-+0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), list(_first))


def compose(text: str) -> yaml.Node | None:
    """The document's nodes with their lines; None where it is empty. Raises yaml.YAMLError."""
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def construct(document: yaml.Node) -> Any:
    """The plain values of a composed document whose keys are all scalars."""
    return _Loader("").construct_document(document)


def line_of_error(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """Line and one-line description of what is wrong with the YAML `text`."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return mark.line + 1, getattr(error, "problem", None) or "not YAML"
    position = getattr(error, "position", 0)
    return text.count("\n", 0, position) + 1, "a character that YAML doesn't allow"
