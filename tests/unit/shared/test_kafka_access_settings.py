"""How TLS and login of Kafka may be set together."""

import pytest

from farshore.bus.access_settings import AccessSettings
from farshore.errors import ConfigurationError
from farshore.settings import SeveralSettingsError, settings_from_environment

LOGIN = {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "SCRAM-SHA-512", "USERNAME": "u", "PASSWORD": "file:/p"}
TOKEN = {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "OAUTHBEARER"}
ENDPOINT = {"TOKEN_URL": "https://idp/token", "TOKEN_CLIENT_ID": "c", "TOKEN_CLIENT_SECRET": "env:SECRET"}
CERTIFICATE = {"CERTIFICATE_FILE": "/c", "CERTIFICATE_KEY_FILE": "/k"}

GOOD = [
    {},
    {"SECURITY_PROTOCOL": "SSL"},
    {"SECURITY_PROTOCOL": "SSL", "CA_FILE": "/ca", **CERTIFICATE},
    LOGIN,
    LOGIN | {"SASL_MECHANISM": "PLAIN"},
    LOGIN | CERTIFICATE,
    TOKEN | {"TOKEN": "file:/token"},
    TOKEN | ENDPOINT | {"TOKEN_SCOPE": "kafka", "TOKEN_CA_FILE": "/ca"},
    LOGIN | {"TOKEN": ""},  # empty is as not set
]
WRONG = [
    ({"SECURITY_PROTOCOL": "TLS"}, {"SECURITY_PROTOCOL"}),
    ({"CA_FILE": "/ca"}, {"CA_FILE"}),
    (CERTIFICATE, {"CERTIFICATE_FILE", "CERTIFICATE_KEY_FILE"}),
    ({"SECURITY_PROTOCOL": "SSL", "CERTIFICATE_FILE": "/c"}, {"CERTIFICATE_KEY_FILE"}),
    ({"SECURITY_PROTOCOL": "SSL", "CERTIFICATE_KEY_FILE": "/k"}, {"CERTIFICATE_FILE"}),
    ({"SECURITY_PROTOCOL": "SASL_SSL"}, {"SASL_MECHANISM"}),
    (LOGIN | {"SECURITY_PROTOCOL": "SSL"}, {"SASL_MECHANISM", "USERNAME", "PASSWORD"}),
    (LOGIN | {"USERNAME": "", "PASSWORD": ""}, {"USERNAME", "PASSWORD"}),
    (LOGIN | {"SASL_MECHANISM": "GSSAPI"}, {"SASL_MECHANISM"}),
    (LOGIN | {"PASSWORD": "hunter2"}, {"PASSWORD"}),
    (LOGIN | {"TOKEN": "file:/t"}, {"TOKEN"}),
    (LOGIN | ENDPOINT, set(ENDPOINT)),
    (TOKEN, {"TOKEN_URL"}),
    (TOKEN | {"TOKEN": "file:/t", "TOKEN_SCOPE": "s"}, {"TOKEN_SCOPE"}),
    (TOKEN | ENDPOINT | {"TOKEN": "file:/t"}, {"TOKEN"}),
    (TOKEN | {"TOKEN_URL": "https://idp/token"}, {"TOKEN_CLIENT_ID", "TOKEN_CLIENT_SECRET"}),
    (TOKEN | ENDPOINT | {"TOKEN_URL": "idp/token"}, {"TOKEN_URL"}),
    (TOKEN | ENDPOINT | {"USERNAME": "u"}, {"USERNAME"}),
]


def read(given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> AccessSettings:
    for name, value in given.items():
        monkeypatch.setenv(f"FARSHORE_KAFKA_{name}", value)
    return settings_from_environment(AccessSettings)


@pytest.mark.parametrize("given", GOOD)
def test_what_fits_together_is_taken(given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(given, monkeypatch)
    assert found.security_protocol == given.get("SECURITY_PROTOCOL", "PLAINTEXT")


@pytest.mark.parametrize(("given", "wrong"), WRONG)
def test_all_that_does_not_fit_is_named_and_no_secret_shown(
    given: dict[str, str], wrong: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(given, monkeypatch)
    error = caught.value
    errors = error.errors if isinstance(error, SeveralSettingsError) else (error,)
    assert {one.subject for one in errors} == {f"FARSHORE_KAFKA_{name}" for name in wrong}
    assert all(one.hint == "from the environment: correct or unset it" for one in errors)
    assert "hunter2" not in str(error)
    assert "\n" not in str(error)
