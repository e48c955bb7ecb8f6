"""Where downloaded tools live between runs."""

import os
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[4]


def cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder for downloads, created when absent.

    `FARSHORE_CACHE`, else `XDG_CACHE_HOME`/farshore, else ~/.cache/farshore; where that can't be written
    (a read-only home), `.cache` in the repository, which git ignores. scripts/setup chooses by the same rule.
    """
    preferred = _preferred(environ)
    if preferred is not None and _writable(preferred):
        return preferred
    fallback = REPOSITORY / ".cache"
    fallback.mkdir(parents=True, exist_ok=True)
    return fallback


def tools_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of the programs that scripts/setup unpacked or built."""
    return cache_dir(environ) / "tools" / "bin"


def _preferred(environ: Mapping[str, str]) -> Path | None:
    if chosen := environ.get("FARSHORE_CACHE"):
        return Path(chosen).expanduser().absolute()
    if xdg := environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "farshore"
    home = environ.get("HOME")
    return Path(home) / ".cache" / "farshore" if home else None


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)
