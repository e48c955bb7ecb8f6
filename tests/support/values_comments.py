"""What the comments of the chart's values.yaml say of its keys. values.schema.json says it too, for editors to show."""

import json
import re
from typing import Any

from charts import CHART

SCHEMA = CHART / "values.schema.json"
_LINE = re.compile(r"( *)(?:# ?(?P<comment>.*)|(?P<key>[A-Za-z]+):.*)")

Keys = tuple[str, ...]


def described(values: str) -> dict[Keys, str]:
    """The comment right above a key, by the keys that lead there; without those that have none."""
    found: dict[Keys, str] = {}
    keys: list[str] = []
    comment: list[str] = []
    for line in values.splitlines():
        match = _LINE.fullmatch(line)
        if match and match["key"] is None:
            comment.append(match["comment"])
            continue
        if match:
            keys[len(match[1]) // 2 :] = [match["key"]]
            if comment:
                found[tuple(keys)] = " ".join(comment)
        comment.clear()
    return found


def schema_with_descriptions() -> str:
    """values.schema.json as it is to be: with a description of each key that values.yaml comments on, and no others."""
    descriptions = described((CHART / "values.yaml").read_text())

    def made(schema: dict[str, Any], keys: Keys) -> dict[str, Any]:
        said = {"description": descriptions[keys]} if keys in descriptions else {}
        rest = {key: value for key, value in schema.items() if key != "description"}
        if "properties" in schema:
            rest["properties"] = {name: made(one, (*keys, name)) for name, one in schema["properties"].items()}
        return said | rest

    return json.dumps(made(json.loads(SCHEMA.read_text()), ()), indent=2, ensure_ascii=False) + "\n"
