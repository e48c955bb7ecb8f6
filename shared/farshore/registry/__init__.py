"""One registry's content, asked of its process (OCI distribution specification 1.1) or read from its mounted volume."""

from farshore.registry.client import FetchedManifest, RegistryClient
from farshore.registry.errors import (
    ContentNotFoundError,
    RegistryAnsweredError,
    RegistryError,
    TimedOutError,
    UnreachableError,
)
from farshore.registry.mounted import MountedRegistry
from farshore.registry.storage import Storage

__all__ = [
    "ContentNotFoundError",
    "FetchedManifest",
    "MountedRegistry",
    "RegistryAnsweredError",
    "RegistryClient",
    "RegistryError",
    "Storage",
    "TimedOutError",
    "UnreachableError",
]
