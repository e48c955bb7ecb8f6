"""How a client gets into Kafka: TLS and login for aiokafka, fresh from their files for every connection."""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from farshore.bus.access_settings import AccessSettings, variable
from farshore.bus.oauth import TokenProvider, heed_refused_tokens
from farshore.bus.refusals import KafkaRefusedError, refusal_of
from farshore.reread import Reread, kept_secret
from farshore.tls import FileSetting, client_context

_LOOK_SECONDS = 2.0
"""How long each broker has to say why it refuses."""

heed_refused_tokens()


class Access:
    """Made once a process. Raises ConfigurationError where a file that the settings name can't be used."""

    def __init__(self, settings: AccessSettings) -> None:
        self._settings = settings
        self.let_in = False
        """Whether Kafka let this process in: then a refusal is no wrong setting but a password that is exchanged."""
        self._tls: ssl.SSLContext | None = None
        if settings.tls:
            self._tls = client_context(
                _file(settings, "ca_file"), _file(settings, "certificate_file"), _file(settings, "certificate_key_file")
            )
        self._password = _secret(settings, "password")
        self._tokens = _token_provider(settings) if settings.sasl_mechanism == "OAUTHBEARER" else None

    def options(self) -> dict[str, Any]:
        """What each of aiokafka's clients is made with."""
        settings = self._settings
        found: dict[str, Any] = {"security_protocol": settings.security_protocol, "ssl_context": self._tls}
        if settings.sasl:
            found |= {
                "sasl_mechanism": settings.sasl_mechanism,
                "sasl_plain_username": settings.username or None,
                "sasl_plain_password": self._password() if self._password else None,
                "sasl_oauth_token_provider": self._tokens,
            }
        return found

    def attach(self, client: AIOKafkaClient, addresses: Sequence[str]) -> None:
        """Have `client`, which must not have been started, log in with the password as it is at each connection, and
        say why it was refused at its start instead of only that nobody answered. It raises KafkaRefusedError then.
        """
        bootstrap, get_connection = client.bootstrap, client._get_conn

        async def with_reason() -> None:
            self._refresh(client)
            try:
                await bootstrap()
            except KafkaConnectionError as error:
                if refusal := await self.refusal(addresses):
                    raise refusal from error
                raise

        async def with_fresh_password(*args: Any, **options: Any) -> Any:
            self._refresh(client)
            return await get_connection(*args, **options)

        client.bootstrap, client._get_conn = with_reason, with_fresh_password

    def _refresh(self, client: AIOKafkaClient) -> None:
        if self._password is not None:
            client._sasl_plain_password = self._password()

    async def refusal(self, addresses: Sequence[str]) -> KafkaRefusedError | None:
        """Why Kafka can't be used although it is there; None where it can, or where nobody answers.

        Asks all bootstrap servers, and the brokers that they name: those may have other names, with other certificates.
        """
        named: set[str] = set()
        answers = await asyncio.gather(*(self._ask(address, named) for address in addresses))
        if named:
            others = named.difference(addresses)
            answers = await asyncio.gather(*(self._ask(address, set()) for address in others))
        return next((answer for answer in answers if answer), None)

    async def _ask(self, address: str, named: set[str]) -> KafkaRefusedError | None:
        """Why the broker at `address` refuses; adds to `named` which brokers it names."""
        try:
            brokers = await _brokers(address, self.options())
        except (KafkaError, OSError, TimeoutError) as error:
            return refusal_of(error, address, self._settings) or await self._other_protocol(address, error)
        named.update(f"{host}:{port}" for _, host, port, *_ in brokers)
        return None

    async def _other_protocol(self, address: str, error: BaseException) -> KafkaRefusedError | None:
        """A listener of another protocol only closes the connection: whether it is one, another attempt tells."""
        if isinstance(error, ConnectionRefusedError | TimeoutError):
            return None
        settings = self._settings
        reason = hint = ""
        if settings.tls:
            if await _answers_to(address, {"security_protocol": "PLAINTEXT"}):
                reason, hint = "the listener there has no TLS", "set PLAINTEXT or SASL_PLAINTEXT, or another port"
        elif await _speaks_tls(address):
            reason, hint = "the listener there wants TLS", "set SSL or SASL_SSL, or another port"
        if not reason and not settings.sasl and await _answers_to(address, self.options()):
            reason, hint = "the listener there wants a login", f"set SASL_{'SSL' if settings.tls else 'PLAINTEXT'}"
        if not reason:
            return None
        setting = f"Kafka {address} with {variable('security_protocol')} {settings.security_protocol}"
        return KafkaRefusedError("connect to", setting, reason, hint=hint)


async def _brokers(address: str, options: dict[str, Any]) -> Sequence[tuple[Any, ...]]:
    async with asyncio.timeout(_LOOK_SECONDS):
        connection = await _connected(address, options)
        try:
            answer = await connection.send(MetadataRequest([]))
        finally:
            connection.close()
    return list(answer.brokers)


async def _answers_to(address: str, options: dict[str, Any]) -> bool:
    """Whether a Kafka there takes a connection of this kind; it may refuse all requests on it."""
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            (await _connected(address, options)).close()
    except (KafkaError, OSError, TimeoutError):
        return False
    return True


async def _speaks_tls(address: str) -> bool:
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE  # only asked whether it is TLS
    host, port = _parts(address)
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=anybody)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _connected(address: str, options: dict[str, Any]) -> Any:
    host, port = _parts(address)
    return await create_conn(host, port, client_id="farshore", request_timeout_ms=int(_LOOK_SECONDS * 1000), **options)


def _parts(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _file(settings: AccessSettings, field: str) -> FileSetting | None:
    path = getattr(settings, field)
    return FileSetting(variable(field), path) if path else None


def _secret(settings: AccessSettings, field: str) -> Reread[str] | None:
    reference: str = getattr(settings, field)
    if not reference:
        return None
    return kept_secret(reference, setting=variable(field))


def _token_provider(settings: AccessSettings) -> TokenProvider:
    kept = _secret(settings, "token")
    if kept is not None:
        token = kept

        async def from_its_place() -> str:
            return token()

        return TokenProvider(from_its_place)
    secret = _secret(settings, "token_client_secret")
    if secret is None:
        raise ValueError("a checked setting has a client secret beside a token endpoint")
    from farshore.bus.token_endpoint import TokenEndpoint

    return TokenProvider(TokenEndpoint(settings, secret, client_context(_file(settings, "token_ca_file"))).token)


PLAIN = Access(AccessSettings.model_construct())
"""Without TLS and login."""
