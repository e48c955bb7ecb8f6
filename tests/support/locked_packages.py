"""What uv.lock says a member of the workspace needs."""

import tomllib
from pathlib import Path


def closure(lock_file: Path, member: str) -> set[str]:
    """The names of `member` and of all that it depends on, on any system and with any Python."""
    packages = {package["name"]: package for package in tomllib.loads(lock_file.read_text())["package"]}
    found: set[tuple[str, str]] = set()
    waiting = [(member, "")]
    while waiting:
        one = waiting.pop()
        if one in found:
            continue
        found.add(one)
        name, extra = one
        package = packages[name]
        needed = package["optional-dependencies"][extra] if extra else package.get("dependencies", [])
        for dependency in needed:
            waiting.append((dependency["name"], ""))
            waiting += [(dependency["name"], extra) for extra in dependency.get("extra", [])]
    return {name for name, _ in found}
