"""Records what the chart makes of tests/helm/values, for test_chart_objects.py to compare with. Also writes what
values.yaml says of its keys into values.schema.json.

Run `python tests/helm/record.py` after a change of the chart that is meant, and look at the difference.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import yaml
from charts import VALUES, Objects, rendered, with_values
from values_comments import SCHEMA, schema_with_descriptions

RECORDED = Path(__file__).parent / "recorded"
NAMES = sorted(path.stem for path in VALUES.glob("*.yaml") if path.stem != "topology")


def as_text(objects: Objects) -> str:
    """Objects in an order and a form of their own, so that only what they say can differ."""
    ordered = sorted(objects, key=lambda one: (one["kind"], one["metadata"]["name"]))
    return yaml.safe_dump_all(ordered, sort_keys=True, width=120)


if __name__ == "__main__":
    SCHEMA.write_text(schema_with_descriptions())
    RECORDED.mkdir(exist_ok=True)
    for name in NAMES:
        (RECORDED / f"{name}.yaml").write_text(as_text(rendered(*with_values(name))))
