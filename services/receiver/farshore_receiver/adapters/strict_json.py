"""JSON as RFC 8259 means it: what two parsers could read in two ways is refused."""

import json
from typing import Any


class NotJsonError(ValueError):
    """A body that isn't JSON, or is JSON that could be read in more than one way; the message says why."""


def parse_json(body: bytes) -> Any:
    """The value of a body in UTF-8. Raises NotJsonError, also for duplicate keys, NaN, and nesting without end."""
    try:
        return _DECODER.decode(body.decode())
    except RecursionError as error:
        raise NotJsonError("it is nested too deep") from error
    except UnicodeDecodeError as error:
        raise NotJsonError(f"it is not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise NotJsonError(f"it is not JSON: {error.msg} at character {error.pos}") from error
    except NotJsonError:
        raise
    except ValueError as error:  # an integer of more digits than Python converts
        raise NotJsonError("it has a number that is too long") from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotJsonError("an object has the same key twice")
    return found


def _no_constant(name: str) -> float:
    raise NotJsonError(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
