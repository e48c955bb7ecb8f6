"""The service's own settings, from the environment as `FARSHORE_RECONCILER_<NAME>`."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from farshore.settings import settings_from_environment
from farshore_reconciler.limits import DEFAULT_LIMIT, DeletionLimit
from farshore_reconciler.options import Options

_PREFIX = "FARSHORE_RECONCILER_"


def _checked(text: str) -> str:
    DeletionLimit.parse(text)
    return text


class ReconcilerSettings(BaseSettings):
    """Times in seconds."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True)

    every: float = Field(default=600.0, gt=0, allow_inf_nan=False)
    """From the end of a run to the next."""
    grace: float = Field(default=120.0, ge=0, allow_inf_nan=False)
    """Between the two looks of a run: a notification may be under way for as long."""
    look_at_sites: bool = False
    """Compare what each replica's registry serves too."""
    sample: int = Field(default=0, ge=0)
    """Images of each site that a run hashes again."""
    max_deletions: Annotated[str, AfterValidator(_checked)] = str(DEFAULT_LIMIT)
    """How many deletions a run may announce for a registry: a number, or a share of the ready images."""

    def options(self, sites: frozenset[str]) -> Options:
        """The options of a run; `sites` are all there are."""
        return Options(
            grace_seconds=self.grace,
            sites=sites if self.look_at_sites else frozenset(),
            sample=self.sample,
            max_deletions=DeletionLimit.parse(self.max_deletions),
        )


def read_reconciler_settings() -> ReconcilerSettings:
    """Settings from the environment; raises ConfigurationError that names the variable."""
    return settings_from_environment(ReconcilerSettings)
