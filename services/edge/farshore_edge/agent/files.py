"""Notices that files which nginx has read say something else: a certificate that was renewed."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from farshore.reread import signatures


class Files:
    """`digest` is of what the files hold, and '' where there are none; one that can't be read counts as absent."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._taken = self._seen = signatures(self._paths)
        self.digest = self._digest()

    def changed(self) -> bool:
        """Look once. Only what is the same in two looks in a row counts: certificate and key are written one by one."""
        look = signatures(self._paths)
        settled, self._seen = look == self._seen, look
        if not settled or look == self._taken:
            return False
        self._taken = look
        before, self.digest = self.digest, self._digest()
        return self.digest != before

    def _digest(self) -> str:
        if not self._paths:
            return ""
        each = b"".join(hashlib.sha256(_content(path)).digest() for path in self._paths)
        return f"sha256:{hashlib.sha256(each).hexdigest()}"


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
