"""Rewrites a topology file so that it says what a move made of it; all else in it stays as its author wrote it. Pure.

Only the values that change are touched: comments, order and style stay. The result is parsed again, and is refused
where it says anything else than it should.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import yaml

from farshore.errors import ConfigurationError
from farshore.topology import Place, Topology, parse_topology
from farshore.topology.document import compose


class _Edit(NamedTuple):
    start: int
    end: int
    text: str


_Pair = tuple[yaml.Node, yaml.Node]


def rewritten(text: str, source: str, registry: str, after: Topology) -> str:
    """`text`, the file `source`, with the places and the epoch that `registry` has in `after`.

    Raises ConfigurationError where that can't be done by changing single values.
    """
    before = parse_topology(text, source)
    document = compose(text)
    assert document is not None
    for edit in reversed(_apart(_edits(text, _at(document, "registries", registry), before, after, registry))):
        text = text[: edit.start] + edit.text + text[edit.end :]
    if parse_topology(text, source) != after:
        raise ConfigurationError("rewrite", source, "it is written in a way that can't be changed place by place")
    return text


def _edits(text: str, node: yaml.Node, before: Topology, after: Topology, registry: str) -> Iterator[_Edit]:
    old, new = before.registries[registry], after.registries[registry]
    written = {old.primary.site: _at(node, "primary")}
    replicas = _at(node, "replicas")
    for place, found in zip(old.replicas, replicas.value, strict=True):
        written[place.site] = found
    places: list[tuple[yaml.Node, Place, Place]] = [(_at(node, "primary"), old.primary, new.primary)]
    places += list(zip(replicas.value, old.replicas, new.replicas, strict=True))
    for here, was, becomes in places:
        if was.site != becomes.site:
            there = {name.value: value for name, value in written[becomes.site].value}
            for key in Place.model_fields:
                copied = _source_of(text, there[key]) if key in there else None
                yield from _set(text, here, key, copied, beside="url")
    for here, replica in zip(replicas.value, new.replicas, strict=True):
        yield from _set(text, here, "via", replica.via, beside="site")
    yield from _set(text, node, "epoch", str(new.epoch), beside="primary")


def _apart(edits: Iterable[_Edit]) -> list[_Edit]:
    """In order, with what is taken out twice taken out once: keys beside one another share what lies between them."""
    found: list[_Edit] = []
    for edit in sorted(edits):
        if found and edit.start < found[-1].end:
            found[-1] = _Edit(found[-1].start, max(found[-1].end, edit.end), found[-1].text + edit.text)
        else:
            found.append(edit)
    return found


def _set(text: str, mapping: yaml.Node, key: str, value: str | None, *, beside: str) -> Iterator[_Edit]:
    """Give `key` its value, take it out, or put it before the key `beside`."""
    pairs: list[_Pair] = mapping.value
    number = next((at for at, pair in enumerate(pairs) if pair[0].value == key), None)
    flow = bool(getattr(mapping, "flow_style", False))
    if number is None and value is not None:
        name = next(pair[0] for pair in pairs if pair[0].value == beside)
        then = ", " if flow else "\n" + " " * name.start_mark.column
        yield _Edit(name.start_mark.index, name.start_mark.index, f"{key}: {value}{then}")
    elif number is not None and value is not None:
        found = pairs[number][1]
        yield _Edit(found.start_mark.index, found.end_mark.index, value)
    elif number is not None:
        yield _without(text, pairs, number, flow=flow)


def _without(text: str, pairs: list[_Pair], number: int, *, flow: bool) -> _Edit:
    name, value = pairs[number]
    if number + 1 < len(pairs):
        return _Edit(name.start_mark.index, pairs[number + 1][0].start_mark.index, "")
    if flow:
        return _Edit(pairs[number - 1][1].end_mark.index, value.end_mark.index, "")
    start = text.rindex("\n", 0, name.start_mark.index)
    return _Edit(
        start, text.find("\n", value.end_mark.index) if "\n" in text[value.end_mark.index :] else len(text), ""
    )


def _source_of(text: str, node: yaml.Node) -> str:
    return text[node.start_mark.index : node.end_mark.index]


def _at(node: yaml.Node, *keys: str) -> yaml.Node:
    for key in keys:
        node = next(value for name, value in node.value if name.value == key)
    return node
