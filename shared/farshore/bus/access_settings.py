"""How Kafka's clients prove who they are and whom they trust, from the environment as `FARSHORE_KAFKA_<NAME>`.

The words are those of Kafka's own clients (security.protocol, sasl.mechanism).
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from farshore.topology.fields import OptionalSecretReference

PREFIX = "FARSHORE_KAFKA_"

_PASSWORDS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_TLS = ("ca_file", "certificate_file", "certificate_key_file")
_USER = ("username", "password")
_CLIENT = ("token_url", "token_client_id", "token_client_secret", "token_scope", "token_ca_file")


def _token_url(text: str) -> str:
    if text and not text.startswith(("https://", "http://")):
        raise ValueError("not a URL that begins with https:// or http://")
    return text


class AccessSettings(BaseSettings):
    """All empty: no TLS, and nobody asks who farshore is. Secrets are references, `file:/path` or `env:NAME`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, hide_input_in_errors=True, env_ignore_empty=True)

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Whether there is TLS (`SSL`), and whether clients log in (`SASL`)."""
    ca_file: str = ""
    """PEM file of the CAs that brokers' certificates are checked against; the system's when left out."""
    certificate_file: str = ""
    """PEM file with the certificate that farshore shows, for mutual TLS."""
    certificate_key_file: str = ""
    """PEM file with its private key, not encrypted."""
    sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = ""
    """How clients log in."""
    username: str = ""
    """The user, for PLAIN and SCRAM."""
    password: OptionalSecretReference = ""
    """The user's password."""
    token: OptionalSecretReference = ""
    """The bearer token, for OAUTHBEARER, where something else keeps one in a file."""
    token_url: Annotated[str, AfterValidator(_token_url)] = ""
    """Where a token is asked for with client credentials (OAuth 2.0, RFC 6749 section 4.4), for OAUTHBEARER."""
    token_client_id: str = ""
    token_client_secret: OptionalSecretReference = ""
    token_scope: str = ""
    """What is asked for; whatever the endpoint gives when left out."""
    token_ca_file: str = ""
    """PEM file of the CAs that the endpoint's certificate is checked against; the system's when left out."""

    @property
    def tls(self) -> bool:
        """Whether brokers are talked to in TLS."""
        return self.security_protocol in ("SSL", "SASL_SSL")

    @property
    def sasl(self) -> bool:
        """Whether the client logs in."""
        return self.security_protocol.startswith("SASL")

    @model_validator(mode="after")
    def _fits_together(self) -> "AccessSettings":
        problems = list(_problems(self))
        if problems:
            details = [
                InitErrorDetails(
                    type=PydanticCustomError("setting", "{text}", {"text": text}), loc=(field,), input=None
                )
                for field, text in problems
            ]
            raise ValidationError.from_exception_data("AccessSettings", details)
        return self


def variable(field: str) -> str:
    """The environment variable of a field."""
    return f"{PREFIX}{field.upper()}"


def _problems(one: AccessSettings) -> Iterator[tuple[str, str]]:
    """What doesn't fit together: a field, and what is wrong with it."""
    protocol = f"{variable('security_protocol')} is {one.security_protocol}"
    if not one.tls:
        for field in _given(one, _TLS):
            yield field, f"{protocol}, without TLS: write SSL or SASL_SSL there"
    if bool(one.certificate_file) != bool(one.certificate_key_file):
        missing = "certificate_key_file" if one.certificate_file else "certificate_file"
        yield missing, "certificate and key need one another: set both or neither"
    if one.sasl and not one.sasl_mechanism:
        yield (
            "sasl_mechanism",
            f"it is not set, but {protocol}: write SCRAM-SHA-512, for instance",
        )
    if not one.sasl:
        for field in _given(one, ("sasl_mechanism", *_USER, "token", *_CLIENT)):
            yield field, f"{protocol}, without login: write SASL_SSL there"
        return
    yield from _login_problems(one)


def _login_problems(one: AccessSettings) -> Iterator[tuple[str, str]]:
    mechanism = f"{variable('sasl_mechanism')} is {one.sasl_mechanism}"
    if one.sasl_mechanism in _PASSWORDS:
        for field in _USER:
            if not getattr(one, field):
                yield field, f"it is not set, but {mechanism}"
        for field in _given(one, ("token", *_CLIENT)):
            yield field, f"{mechanism}: only OAUTHBEARER has a token"
    if one.sasl_mechanism == "OAUTHBEARER":
        for field in _given(one, _USER):
            yield field, f"{mechanism}, which has a token instead"
        if one.token and one.token_url:
            yield "token", f"{variable('token_url')} is set too: choose one"
        elif not one.token and not one.token_url:
            yield "token_url", f"neither it nor {variable('token')} is set, but {mechanism}"
        for field in ("token_client_id", "token_client_secret"):
            if one.token_url and not getattr(one, field):
                yield field, f"it is not set, but {variable('token_url')} is"
        if not one.token_url:
            for field in _given(one, _CLIENT):
                yield field, f"{variable('token_url')} is not set"


def _given(one: AccessSettings, fields: tuple[str, ...]) -> list[str]:
    return [field for field in fields if getattr(one, field)]
