"""The topology file's reference, from the model itself: its JSON Schema, and tables of its keys for docs/topology.md.

`python -m farshore.topology.reference docs` writes both; a test sees that they are what the model says.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from farshore.topology import fields
from farshore.topology.model import Topology

SCHEMA_FILE = "topology.schema.json"
PAGE = "topology.md"
BEGIN, END = "<!-- keys: begin -->\n", "<!-- keys: end -->\n"

_PLACES = {
    "Topology": "The file",
    "Site": "sites.NAME",
    "Cluster": "sites.NAME.ontap",
    "EventDestination": "sites.NAME.ontap.ems",
    "Edge": "sites.NAME.edge",
    "Registry": "registries.NAME",
    "Primary": "registries.NAME.primary",
    "Replica": "registries.NAME.replicas[]",
    "Notifications": "registries.NAME.notifications",
    "Batching": "registries.NAME.batching",
    "Verification": "registries.NAME.verification",
    "Objectives": "registries.NAME.objectives",
}
"""Where each part of the model stands in the file, in the page's order."""

_FORMS = {
    fields.DURATION: "duration",
    fields.NAME: "name",
    fields.SECRET_REFERENCE: "secret reference",
    fields.PREFIX: "prefix",
    fields.PLATFORM: "platform",
    fields.ADDRESS: "address",
    fields.LISTEN: "address to listen on",
}
"""What the page calls a text of a form; its first section says what each is."""


def json_schema() -> str:
    """The JSON Schema (2020-12) of a topology file, as text that ends with a line's end."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _schema() -> dict[str, Any]:
    schema = Topology.model_json_schema()
    for part in (schema, *schema["$defs"].values()):
        for field in part.get("properties", {}).values():
            if isinstance(field.get("default"), dict):  # its own keys' defaults say the same
                del field["default"]
            elif isinstance(field.get("default"), float):
                field["default"] = fields.format_duration(field["default"])
            if "patternProperties" in field:  # the pattern of names is a rule, not a suggestion
                field["additionalProperties"] = False
    return schema


def key_tables() -> str:
    """One Markdown table a part: key, type, default, meaning."""
    schema = _schema()
    parts: dict[str, Any] = {**schema["$defs"], "Topology": schema}
    missing = {name for name, part in parts.items() if "properties" in part} - _PLACES.keys()
    if missing:
        raise LookupError(f"no place in the reference for {', '.join(sorted(missing))}")
    return "\n".join(line for name, place in _PLACES.items() for line in _table(place, parts[name], parts))


def _table(place: str, part: dict[str, Any], parts: dict[str, Any]) -> Iterator[str]:
    yield f"### {place if ' ' in place else f'`{place}`'}\n"
    yield f"{part['description'].splitlines()[0]}\n"
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for key, field in part["properties"].items():
        default = "**required**" if key in part.get("required", ()) else _default(field)
        meaning = field.get("description", "").replace("\n", " ").replace("|", "\\|")
        yield f"| `{key}` | {_kind(field, parts)} | {default} | {meaning} |"
    yield ""


def _default(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return "the defaults of its keys"
    default = field.get("default")
    if default is None:
        return "–"
    return f"`{default}`" if default and isinstance(default, str) else f"`{json.dumps(default)}`"


def _kind(field: dict[str, Any], parts: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_kind(branch, parts) for branch in field["anyOf"] if branch.get("type") != "null")
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        choices = parts[name].get("enum")
        return " \\| ".join(f"`{choice}`" for choice in choices) if choices else f"keys as in `{_PLACES[name]}`"
    if "const" in field:
        return f"`{field['const']}`"
    if field["type"] == "array":
        least = ", at least one" if field.get("minItems") else ""
        return f"list of {_kind(field['items'], parts)}{least}"
    if field["type"] == "object":
        return f"map of name to {_kind(next(iter(_values(field))), parts)}"
    return _scalar(field)


def _values(field: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from field.get("patternProperties", {}).values()
    if isinstance(field.get("additionalProperties"), dict):
        yield field["additionalProperties"]


def _scalar(field: dict[str, Any]) -> str:
    if field["type"] == "integer":
        return f"whole number, {field['minimum']} to {field['maximum']}"
    if field["type"] == "boolean":
        return "true or false"
    return _FORMS.get(field.get("pattern", ""), "text")


def main(folder: Path) -> None:
    """Write the schema and the page's tables in `folder`."""
    (folder / SCHEMA_FILE).write_text(json_schema(), encoding="utf-8")
    page = folder / PAGE
    text = page.read_text(encoding="utf-8")
    between = re.compile(f"(?<={re.escape(BEGIN)}).*?(?={re.escape(END)})", re.DOTALL)
    page.write_text(between.sub(lambda _: f"\n{key_tables()}\n", text, count=1), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
