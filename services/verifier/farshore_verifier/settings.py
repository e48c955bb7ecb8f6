"""The verifier's own settings, from the environment as `FARSHORE_VERIFIER_<NAME>`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator
from pydantic_settings import BaseSettings, SettingsConfigDict

from farshore.errors import ConfigurationError
from farshore.registry import Storage
from farshore.settings import settings_from_environment
from farshore.topology import Topology

_PREFIX = "FARSHORE_VERIFIER_"
_PLAIN_DIRECTORY = "dir:"


def parse_mounts(text: str) -> Mapping[str, Storage]:
    """`REGISTRY.SITE=PATH`, separated by commas, by the relationship's name; raises ValueError.

    A path is a mount point, or, where `dir:` stands before it, any directory.
    """
    mounts: dict[str, Storage] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, equals, place = entry.partition("=")
        path = Path(place.removeprefix(_PLAIN_DIRECTORY))
        if not equals or not path.is_absolute():
            raise ValueError(f"{entry!r} is not REGISTRY.SITE=/PATH")
        if name in mounts:
            raise ValueError(f"{name} stands there twice")
        mounts[name] = Storage(path, mount_point=not place.startswith(_PLAIN_DIRECTORY))
    return mounts


def parse_sites(text: str) -> frozenset[str]:
    """Names, separated by commas."""
    return frozenset(filter(None, (part.strip() for part in text.split(","))))


def _checked(text: str) -> str:
    parse_mounts(text)
    return text


class VerifierSettings(BaseSettings):
    """What differs from one verifier's host to the next."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True)

    mounts: Annotated[str, AfterValidator(_checked)] = ""
    """Replicas whose volume is mounted on this host, and where: their content is read there, not over HTTP."""
    sites: str = ""
    """The sites that this verifier looks after; all of the topology when empty."""

    def chosen(self, replicated: list[str], *, strict: bool = True) -> list[str]:
        """Those of the `replicated` sites that this verifier looks after.

        Raises ConfigurationError where it is to look after one that isn't among them; when not `strict`, the site was
        taken out while the verifier ran, and nothing is left to do there.
        """
        sites = parse_sites(self.sites)
        for name in sorted(sites - set(replicated)):
            if strict:
                reason = f"the topology has no replica at {name}"
                hint = f"it has some at {', '.join(replicated) or 'no site'}"
                raise ConfigurationError("read setting", f"{_PREFIX}SITES", reason, hint=hint)
        return [name for name in replicated if not sites or name in sites]

    def storages(self, topology: Topology, *, strict: bool = True) -> Mapping[str, Storage]:
        """The mounts by the relationship's name. Where the topology has no such one, raises ConfigurationError, or
        leaves it unused when not `strict`: the site was taken out while the verifier ran."""
        mounts = parse_mounts(self.mounts)
        known = {one.name for one in topology.all_relationships()}
        for name in mounts:
            if strict and name not in known:
                reason = f"the topology has no replica {name}"
                hint = f"it has {', '.join(sorted(known)) or 'none'}"
                raise ConfigurationError("read setting", f"{_PREFIX}MOUNTS", reason, hint=hint)
        return mounts


def read_verifier_settings() -> VerifierSettings:
    """Settings from the environment; raises ConfigurationError that names the variable."""
    return settings_from_environment(VerifierSettings)
