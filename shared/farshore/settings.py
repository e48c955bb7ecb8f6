"""Settings from the environment: all that is wrong is told at once, each with the variable and what to do."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from farshore.errors import ConfigurationError
from farshore.topology.fields import FORMS

S = TypeVar("S", bound=BaseSettings)
T = TypeVar("T")


class SeveralSettingsError(ConfigurationError):
    """Several wrong settings, told in one line."""

    def __init__(self, errors: Sequence[ConfigurationError]) -> None:
        super().__init__("read", "settings", f"{len(errors)} are wrong")
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return "; ".join(str(error) for error in self.errors)


class Collected:
    """Carries out what may find wrong settings, and goes on to the next: the errors of all are raised at the end."""

    def __init__(self) -> None:
        self._errors: list[ConfigurationError] = []

    def get(self, ask: Callable[[], T]) -> T | None:
        """The answer of `ask`, or None where a setting is wrong."""
        try:
            return ask()
        except SeveralSettingsError as error:
            self._errors += error.errors
        except ConfigurationError as error:
            self._errors.append(error)
        return None

    def raise_if_any(self) -> None:
        """Raises ConfigurationError."""
        if self._errors:
            raise _one_of(self._errors)


def _one_of(errors: Sequence[ConfigurationError]) -> ConfigurationError:
    different = list({str(error): error for error in errors}.values())
    return different[0] if len(different) == 1 else SeveralSettingsError(different)


def settings_from_environment(kind: type[S]) -> S:
    """An object of `kind`; raises ConfigurationError that names every variable that is wrong or missing."""
    try:
        return kind()
    except ValidationError as error:
        errors = [_wrong(kind, detail) for detail in error.errors()]
        raise _one_of(errors) from error


def _wrong(kind: type[BaseSettings], detail: Any) -> ConfigurationError:
    field = str(detail["loc"][0])
    variable = f"{kind.model_config.get('env_prefix', '')}{field.upper()}"
    examples = kind.model_fields[field].examples
    example = f", for instance to {examples[0]}" if examples else ""
    if detail["type"] == "missing":
        return ConfigurationError(
            "read setting", variable, "it is not set", hint=f"set the environment variable{example}"
        )
    reason = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "string_pattern_mismatch":
        reason = FORMS.get(detail["ctx"]["pattern"], reason)
    return ConfigurationError(
        "read setting", variable, reason, hint=f"from the environment: correct or unset it{example}"
    )
