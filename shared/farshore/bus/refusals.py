"""What a broker's or client's refusal means: which setting is wrong, why, and what helps."""

import ssl

from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from farshore.bus.access_settings import AccessSettings, variable
from farshore.errors import ConfigurationError
from farshore.tls import OTHER_NAME, OUT_OF_TIME, why_not_trusted


class KafkaRefusedError(ConfigurationError, KafkaConnectionError):  # type: ignore[misc]  # aiokafka has no types
    """Kafka, or the client, refuses the other: certificate, login or protocol are wrong.

    While a service starts it is a wrong setting. Later it is one of KAFKA_FAILURES: a password that is being exchanged
    is wrong for a moment.
    """


def refusal_of(error: BaseException, address: str, settings: AccessSettings) -> KafkaRefusedError | None:
    """What `error`, met while connecting to the broker at `address`, says of the settings; None where nothing."""
    for cause in _causes(error):
        if isinstance(cause, KafkaRefusedError):
            return cause
        found = _setting_of(cause, settings)
        if found is not None:
            field, reason, hint = found
            return KafkaRefusedError("connect to", f"Kafka {address} with {variable(field)}", reason, hint=hint)
    return None


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _setting_of(error: BaseException, settings: AccessSettings) -> tuple[str, str, str] | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(error)
    if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
        return _not_trusted_there(error, settings)
    if isinstance(error, SaslAuthenticationFailed):
        return _login(settings)
    if isinstance(error, UnsupportedSaslMechanismError):
        reason = f"the broker doesn't take {settings.sasl_mechanism} there"
        return "sasl_mechanism", reason, "set one of those that the listener has (sasl.enabled.mechanisms)"
    if isinstance(error, IllegalSaslStateError):
        hint = f"set {'SSL' if settings.tls else 'PLAINTEXT'}, or the port of a listener with SASL"
        return "security_protocol", "the broker wants no login there", hint
    return None


def _untrusted(error: ssl.SSLCertVerificationError) -> tuple[str, str, str]:
    reason = why_not_trusted(error)
    if error.verify_code in OUT_OF_TIME:
        return "bootstrap_servers", reason, "renew it, or correct this host's clock"
    if error.verify_code in OTHER_NAME:
        hint = "name brokers, here and in advertised.listeners, as their certificates do"
        return "bootstrap_servers", reason, hint
    return "ca_file", reason, "set it to the PEM file of the CA that signed the brokers' certificates"


def _not_trusted_there(error: ssl.SSLError, settings: AccessSettings) -> tuple[str, str, str]:
    word = (error.reason or "").rpartition("ALERT_")[2].replace("_", " ").lower()
    if not settings.certificate_file:
        return "certificate_file", "the broker asks for a certificate, and it is not set", "set it, and its key's file"
    hint = "is it of a CA in the broker's ssl.truststore, and has it expired?"
    return "certificate_file", f"the broker doesn't accept it ({word})", hint


def _login(settings: AccessSettings) -> tuple[str, str, str]:
    if settings.sasl_mechanism != "OAUTHBEARER":
        hint = f"correct it, or {variable('username')}"
        return "password", f"the broker doesn't know user and password ({settings.sasl_mechanism})", hint
    field = "token" if settings.token else "token_url"
    return field, "the broker doesn't accept the token", "has it expired, and do issuer, audience and scope fit?"
