"""Text of unknown origin as it may go to a terminal: pure. A dead letter may hold anything, escape codes too."""


def printable(text: str, most: int | None = None) -> str:
    """`text` on one line, what isn't printable as escapes, and at most `most` characters of it."""
    shown = "".join(character if character.isprintable() else _escape(character) for character in text[:most])
    if most is not None and (len(text) > most or len(shown) > most):
        return shown[: most - 1] + "…"
    return shown


def printable_bytes(raw: bytes, most: int | None = None) -> str:
    """Bytes as `printable` text; what is not UTF-8 becomes escapes such as `\\xff`."""
    return printable(raw[: None if most is None else 4 * most].decode(errors="backslashreplace"), most)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode() if not "\ud800" <= character <= "\udfff" else "\\ufffd"
