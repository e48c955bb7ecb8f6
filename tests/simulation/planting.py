"""Plants a mistake: loads a module with one piece of its source changed, in memory alone."""

import importlib.util
import sys
from pathlib import Path


def plant(name: str, right: str, wrong: str) -> None:
    """Load module `name` with `wrong` in place of `right`; raises LookupError unless `right` stands there once."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise LookupError(name)
    source = Path(spec.origin).read_text(encoding="utf-8")
    if source.count(right) != 1:
        raise LookupError(f"{right!r} stands {source.count(right)} times in {name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    exec(compile(source.replace(right, wrong), spec.origin, "exec"), module.__dict__)  # noqa: S102
