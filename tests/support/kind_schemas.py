"""JSON schemas of Kubernetes' kinds, for kubeconform: from what an API server says of its own kinds, and from custom
resource definitions. They are strict: an object has no fields but those that its schema names.

Source: Kubernetes API concepts, OpenAPI v3; custom resource definitions, structural schemas (`x-kubernetes-…`).
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from kubernetes_api import KubernetesApi

LOCATION = "{{ .Group }}/{{ .ResourceKind }}_{{ .ResourceAPIVersion }}.json"
"""Where a kind's schema lies in the folder; the form of kubeconform's `-schema-location`."""

Schema = dict[str, Any]
_COMPONENTS = "#/components/schemas/"
_METADATA: Schema = {"$ref": f"{_COMPONENTS}io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}


class Kind(NamedTuple):
    """A kind and what its objects look like; references are to `components` of its own."""

    version: str
    """With its group: `v1`, `apps/v1`."""
    name: str
    schema: Schema


def write_schemas(folder: Path, api: KubernetesApi, definitions: Iterable[Schema]) -> int:
    """A file for each kind, where LOCATION says; returns how many kinds there are."""
    documents = dict(_documents(api))
    kinds = [kind for version, document in documents.items() for kind in _served(version, document)]
    kinds += [kind for one in definitions for kind in _defined(one, documents["v1"])]
    for kind in kinds:
        group, _, number = kind.version.rpartition("/")
        file = folder / (group or number) / f"{kind.name.lower()}_{number}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(kind.schema))
    return len(kinds)


def strict(schema: Schema) -> Schema:
    """The schema for objects that have no other fields. What only narrows (`anyOf` and the like) stays as it is."""
    made = dict(schema)
    if "properties" in schema:
        made["properties"] = {name: strict(one) for name, one in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            made[key] = strict(schema[key])
    if schema.get("nullable"):
        return {"anyOf": [made, {"type": "null"}]}
    return made


def _documents(api: KubernetesApi) -> Iterator[tuple[str, Schema]]:
    """What the server says of each group version."""
    for path, about in _asked(api, "/openapi/v3")["paths"].items():
        version = path.removeprefix("apis/").removeprefix("api/")
        if version.count("/") == (1 if path.startswith("apis/") else 0) and path != version:
            yield version, _asked(api, about["serverRelativeURL"])


def _asked(api: KubernetesApi, path: str) -> Schema:
    status, answer = api.ask("GET", path)
    assert status == 200, answer
    return answer


def _served(version: str, document: Schema) -> Iterator[Kind]:
    schemas: dict[str, Schema] = document["components"]["schemas"]
    for name, schema in schemas.items():
        for one in schema.get("x-kubernetes-group-version-kind", ()):
            # all groups have some kinds in common, such as DeleteOptions: they are a kind of each
            if version == "/".join(filter(None, (one["group"], one["version"]))):
                yield Kind(version, one["kind"], _standalone({"$ref": f"{_COMPONENTS}{name}"}, schemas))


def _defined(definition: Schema, core: Schema) -> Iterator[Kind]:
    """Of a definition's objects the server itself knows what metadata has, as it does of its own."""
    spec = definition["spec"]
    for version in spec["versions"]:
        schema = strict(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = _METADATA
        made = _standalone(schema, core["components"]["schemas"])
        yield Kind(f"{spec['group']}/{version['name']}", spec["names"]["kind"], made)


def _standalone(schema: Schema, schemas: dict[str, Schema]) -> Schema:
    """With all that it refers to, strict."""
    found: dict[str, Schema] = {}
    wanted = list(_references(schema))
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = strict(schemas[name])
            wanted += _references(found[name])
    return {**schema, "components": {"schemas": found}}


def _references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"].removeprefix(_COMPONENTS)
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)
