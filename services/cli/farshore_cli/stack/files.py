"""Writing the stack's files: in one step, and secrets readable by their owner only."""

import os
import secrets
from pathlib import Path

PRIVATE = 0o600


def write(file: Path, text: str, mode: int = 0o644) -> None:
    """Replace `file` in one step: a reader sees the old content or the new."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w", encoding="utf-8") as output:
        output.write(text)
    draft.replace(file)


def ensure_secret(file: Path) -> str:
    """The secret in `file`, made up where there is none yet."""
    if file.exists():
        return file.read_text().strip()
    secret = secrets.token_urlsafe(24)
    write(file, secret + "\n", PRIVATE)
    return secret
