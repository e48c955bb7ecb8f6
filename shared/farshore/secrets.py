"""Secrets by reference: `env:NAME` or `file:/path`. The value is read where it is needed and never kept in a model."""

import os
from pathlib import Path

from farshore.errors import ConfigurationError


def read_secret(reference: str, *, setting: str = "") -> str:
    """The secret that `reference` names, without surrounding white space. Raises ConfigurationError.

    `setting` is what the setting that holds the reference is called, for the error.
    """
    subject = f"{reference} of {setting}" if setting else reference
    kind, _, place = reference.partition(":")
    if kind not in ("env", "file") or not place:
        raise ConfigurationError("read secret", "reference", "it is neither env:NAME nor file:/path")
    try:
        text = os.environ[place] if kind == "env" else Path(place).read_text(encoding="utf-8")
    except KeyError as error:
        raise ConfigurationError(
            "read secret", subject, "the variable is not set", hint=f"set {place}, or name a file"
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            "read secret", subject, _why(error), hint=f"make {place} a file that this user can read"
        ) from error
    secret = text.strip()
    if not secret:
        raise ConfigurationError("read secret", subject, "it is empty")
    return secret


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else "not a path"
