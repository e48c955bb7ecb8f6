"""TLS and logins against a real broker: what works, what is refused and how that is told, and files that change."""

import asyncio
import os
import re
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from secured_kafka import USER, SecuredKafka, bearer_token
from token_endpoint import CLIENT, TokenEndpoint
from waiting import wait_until

from farshore.bus.access import Access
from farshore.bus.access_settings import AccessSettings
from farshore.bus.clients import Bus
from farshore.bus.committed import committed_positions
from farshore.bus.exactly_once import ExactlyOnceStep
from farshore.bus.failures import KAFKA_FAILURES
from farshore.bus.refusals import KafkaRefusedError
from farshore.bus.startup import wait_for_topics
from farshore.bus.topics import DEADLETTER, create_missing_topics
from farshore_cli.tools.ports import free_port

pytestmark = pytest.mark.integration

PLACE = TopicPartition(DEADLETTER.name, 0)


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    own = SecuredKafka(tmp_path_factory.mktemp("secured-kafka"))
    try:
        own.start()
        yield own
    finally:
        own.broker.kill()


@pytest.fixture
def secrets_folder(kafka: SecuredKafka, tmp_path: Path) -> Path:
    """Files `good`, `wrong` (passwords), `token` and `old-token`."""
    (tmp_path / "good").write_text(kafka.password + "\n")
    (tmp_path / "wrong").write_text("a-wrong-password\n")
    (tmp_path / "token").write_text(bearer_token())
    (tmp_path / "old-token").write_text(bearer_token(-60))
    return tmp_path


def secret(folder: Path, name: str) -> str:
    return (folder / name).read_text().strip()


def tls(kafka: SecuredKafka, protocol: str = "SSL") -> dict[str, str]:
    return {"security_protocol": protocol, "ca_file": str(kafka.authority.ca_file)}


def login(mechanism: str, password: Path) -> dict[str, str]:
    return {"sasl_mechanism": mechanism, "username": USER, "password": f"file:{password}"}


def bus_at(address: str, settings: Mapping[str, str]) -> Bus:
    return Bus(address, access=Access(AccessSettings.model_validate(dict(settings))))


async def use(bus: Bus, unique: str) -> None:
    """Every kind of client that the services have: admin, producer, transactions, group member and bare client."""
    await create_missing_topics(bus)
    producer = bus.transactional_producer(unique)
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send_and_wait(DEADLETTER.name, unique.encode())
    finally:
        await producer.stop()
    consumer = bus.group_consumer(unique)
    consumer.subscribe([DEADLETTER.name])
    await consumer.start()
    try:
        read: list[bytes] = []
        while unique.encode() not in read:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                read += [record.value for record in records]
    finally:
        await consumer.stop()
    client = bus.client()
    try:
        await client.bootstrap()
    finally:
        await client.close()


@pytest.mark.parametrize("door", ["SASL_SSL", "SASL_PLAINTEXT"])
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"])
async def test_passwords_open_kafka(
    kafka: SecuredKafka, secrets_folder: Path, door: str, mechanism: str, unique: str
) -> None:
    way = tls(kafka, door) if door == "SASL_SSL" else {"security_protocol": door}
    await use(bus_at(kafka.at(door), way | login(mechanism, secrets_folder / "good")), unique)


async def test_certificates_open_kafka(kafka: SecuredKafka, unique: str) -> None:
    await use(bus_at(kafka.at("SSL"), tls(kafka)), unique)
    mine = kafka.authority.issue("mine")
    shown = {"certificate_file": str(mine.certificate), "certificate_key_file": str(mine.key)}
    await use(bus_at(kafka.at("MUTUAL"), tls(kafka) | shown), f"{unique}m")


async def test_tokens_open_kafka(kafka: SecuredKafka, secrets_folder: Path, unique: str) -> None:
    way = tls(kafka, "SASL_SSL") | {"sasl_mechanism": "OAUTHBEARER"}
    await use(bus_at(kafka.at("SASL_SSL"), way | {"token": f"file:{secrets_folder}/token"}), unique)
    async with TokenEndpoint(kafka.authority.issue("endpoint"), kafka.password) as endpoint:
        asked = {
            "token_url": endpoint.url,
            "token_client_id": CLIENT,
            "token_client_secret": f"file:{secrets_folder}/good",
            "token_ca_file": str(kafka.authority.ca_file),
        }
        await use(bus_at(kafka.at("SASL_SSL"), way | asked), f"{unique}e")
        assert endpoint.given == 1  # for all connections


REFUSED = {
    "a CA that nobody knows here": ("SSL", {"ca_file": "stranger"}, "CA_FILE: the server's certificate is of no CA"),
    "a certificate that has expired": ("EXPIRED", {}, "BOOTSTRAP_SERVERS: .* has expired"),
    "a certificate of another host": ("ELSEWHERE", {}, "BOOTSTRAP_SERVERS: .* for another host"),
    "no certificate where one is asked for": ("MUTUAL", {}, "CERTIFICATE_FILE: .* it is not set"),
    "a client's certificate of a strange CA": ("MUTUAL", {"shows": "stranger"}, "CERTIFICATE_FILE: .* doesn't accept"),
    "a client's certificate that has expired": ("MUTUAL", {"shows": "old"}, "CERTIFICATE_FILE: .* doesn't accept"),
    "no TLS where there is TLS": (
        "SSL",
        {"security_protocol": "PLAINTEXT"},
        "SECURITY_PROTOCOL PLAINTEXT: .*wants TLS",
    ),
    "TLS where there is none": ("PLAINTEXT", {}, "SECURITY_PROTOCOL SSL: .*has no TLS"),
    "no login where one is needed": ("SASL_SSL", {}, "SECURITY_PROTOCOL SSL: .*wants a login"),
    "no login and no TLS where both are needed": (
        "SASL_SSL",
        {"security_protocol": "PLAINTEXT"},
        "SECURITY_PROTOCOL PLAINTEXT: .*wants TLS",
    ),
    "a login where there is none": ("SSL", {"password": "good"}, "SECURITY_PROTOCOL: the broker wants no login"),
    "a wrong password": ("SASL_SSL", {"password": "wrong"}, "PASSWORD: the broker doesn't know user and password"),
    "a wrong password of PLAIN": (
        "SASL_SSL",
        {"password": "wrong", "sasl_mechanism": "PLAIN"},
        "PASSWORD: the broker doesn't know user and password",
    ),
    "a token that ran out": ("SASL_SSL", {"token": "old-token"}, "TOKEN: the broker doesn't accept the token"),
    "something that is no token": ("SASL_SSL", {"token": "wrong"}, "TOKEN: the broker doesn't accept the token"),
}


def refused_settings(kafka: SecuredKafka, folder: Path, given: Mapping[str, str]) -> dict[str, str]:
    settings = tls(kafka)
    for name, value in given.items():
        if name == "ca_file":
            settings[name] = str(kafka.stranger.ca_file)
        elif name == "shows":
            mine = kafka.stranger.issue("mine") if value == "stranger" else kafka.authority.issue("x", expired=True)
            settings |= {"certificate_file": str(mine.certificate), "certificate_key_file": str(mine.key)}
        elif name == "password":
            settings |= {"security_protocol": "SASL_SSL"} | login("SCRAM-SHA-512", folder / value)
        elif name == "token":
            settings |= {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}
            settings[name] = f"file:{folder}/{value}"
        else:
            settings[name] = value
    if settings["security_protocol"] == "PLAINTEXT":
        del settings["ca_file"]
    return settings


@pytest.mark.parametrize("what", REFUSED)
async def test_a_refusal_names_the_setting_and_shows_no_secret(
    kafka: SecuredKafka, secrets_folder: Path, what: str
) -> None:
    door, given, says = REFUSED[what]
    bus = bus_at(kafka.at(door), refused_settings(kafka, secrets_folder, given))
    with pytest.raises(KafkaRefusedError) as caught:
        await create_missing_topics(bus)
    line = str(caught.value)
    assert re.search(f"Kafka {kafka.at(door)} with FARSHORE_KAFKA_{says}", line), line
    assert "\n" not in line
    assert not [name for name in ("good", "wrong", "token", "old-token") if secret(secrets_folder, name) in line]


async def test_an_endpoint_that_gives_no_token_is_named(kafka: SecuredKafka, secrets_folder: Path) -> None:
    way = tls(kafka, "SASL_SSL") | {"sasl_mechanism": "OAUTHBEARER", "token_client_id": CLIENT}
    async with TokenEndpoint(kafka.authority.issue("endpoint"), kafka.password) as endpoint:
        good = {"token_client_secret": f"file:{secrets_folder}/good", "token_ca_file": str(kafka.authority.ca_file)}
        wrong = good | {"token_client_secret": f"file:{secrets_folder}/wrong"}
        strange = good | {"token_ca_file": str(kafka.stranger.ca_file)}
        for given, says in (
            (wrong, "FARSHORE_KAFKA_TOKEN_CLIENT_SECRET: 401 invalid_client"),
            (strange, "FARSHORE_KAFKA_TOKEN_CA_FILE: the server's certificate is of no CA"),
        ):
            with pytest.raises(KafkaRefusedError, match=says) as caught:
                await create_missing_topics(bus_at(kafka.at("SASL_SSL"), way | given | {"token_url": endpoint.url}))
            assert "a-wrong-password" not in str(caught.value)
    # nobody there is no wrong setting: it may be started later
    with pytest.raises(KafkaConnectionError) as gone:
        await create_missing_topics(bus_at(kafka.at("SASL_SSL"), way | good | {"token_url": endpoint.url}))
    assert not isinstance(gone.value, KafkaRefusedError)


async def test_a_password_that_changes_is_used_without_a_restart(
    kafka: SecuredKafka, secrets_folder: Path, unique: str
) -> None:
    file = secrets_folder / "changing"
    file.write_text(kafka.password)
    bus = bus_at(kafka.at("SASL_PLAINTEXT"), {"security_protocol": "SASL_PLAINTEXT"} | login("SCRAM-SHA-512", file))
    await create_missing_topics(bus)
    producer = bus.producer()
    await producer.start()
    try:
        kafka.set_password("the-next-password")
        await producer.send_and_wait(DEADLETTER.name, b"over the connection that is open")
        await cut_off(producer)
        file.write_text("the-next-password")
        await wait_until(lambda: sent(producer), 10, "the next password in use")
    finally:
        kafka.set_password(kafka.password)
        await producer.stop()


async def test_a_certificate_that_changes_is_used_without_a_restart(kafka: SecuredKafka, tmp_path: Path) -> None:
    good, bad = kafka.authority.issue("mine"), kafka.stranger.issue("mine")
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.write_bytes(good.certificate.read_bytes())
    key.write_bytes(good.key.read_bytes())
    shown = {"certificate_file": str(certificate), "certificate_key_file": str(key)}
    bus = bus_at(kafka.at("MUTUAL"), tls(kafka) | shown)
    await create_missing_topics(bus)
    certificate.write_bytes(bad.certificate.read_bytes())  # alone it doesn't fit, so the old pair stays
    await use(bus, tmp_path.name)
    key.write_bytes(bad.key.read_bytes())

    async def is_refused() -> bool:
        return await bus.refusal() is not None

    await wait_until(is_refused, 10, "the other certificate in use")
    certificate.write_bytes(good.certificate.read_bytes())
    key.write_bytes(good.key.read_bytes())

    async def is_taken() -> bool:
        return await bus.refusal() is None

    await wait_until(is_taken, 10, "the good one in use again")


async def test_a_client_that_kafka_cuts_off_after_a_time_goes_on(kafka: SecuredKafka, secrets_folder: Path) -> None:
    """Brokers with `connections.max.reauth.ms` close what doesn't log in again over the same connection."""
    way = tls(kafka, "SASL_SSL") | {"sasl_mechanism": "OAUTHBEARER", "token_client_id": CLIENT}
    async with TokenEndpoint(kafka.authority.issue("endpoint"), kafka.password, lasts_seconds=6.0) as endpoint:
        secret = {"token_client_secret": f"file:{secrets_folder}/good", "token_ca_file": str(kafka.authority.ca_file)}
        bus = bus_at(kafka.at("SASL_SSL"), way | secret | {"token_url": endpoint.url})
        await create_missing_topics(bus)
        producer = bus.producer()
        await producer.start()
        try:

            async def third_token() -> bool:
                await producer.send_and_wait(DEADLETTER.name, b"again and again")
                return endpoint.given >= 3

            await wait_until(third_token, 30, "two more tokens, with no record refused")
        finally:
            await producer.stop()


async def cut_off(producer: AIOKafkaProducer) -> None:
    for connection in list(producer.client._conns.values()):
        connection.close()


async def sent(producer: AIOKafkaProducer) -> bool:
    try:
        await producer.send_and_wait(DEADLETTER.name, b"over another")
    except KAFKA_FAILURES:
        return False
    return True


async def test_a_refusal_is_told_although_another_broker_is_away(kafka: SecuredKafka, secrets_folder: Path) -> None:
    way = tls(kafka, "SASL_SSL") | login("PLAIN", secrets_folder / "wrong")
    with pytest.raises(KafkaRefusedError, match="FARSHORE_KAFKA_PASSWORD"):
        await create_missing_topics(bus_at(f"127.0.0.1:{free_port()},{kafka.at('SASL_SSL')}", way))


async def test_brokers_that_kafka_names_otherwise_than_their_certificates_do_are_told_of(kafka: SecuredKafka) -> None:
    bus = bus_at(kafka.at("MISNAMED"), tls(kafka))
    with pytest.raises(KafkaRefusedError, match=f"Kafka {kafka.at('ELSEWHERE')} with .* for another host"):
        await wait_for_topics(bus, asyncio.Event())


async def find_positions(bus: Bus) -> None:
    await committed_positions(bus, ["a group"], PLACE)


async def enter_a_step(bus: Bus) -> None:
    async with ExactlyOnceStep(bus, "an id"):
        pass


@pytest.mark.parametrize("work", [find_positions, enter_a_step, create_missing_topics])
async def test_who_is_cancelled_while_a_broker_hangs_behind_tls_ends_soon(
    kafka: SecuredKafka, monkeypatch: pytest.MonkeyPatch, work: Callable[[Bus], Awaitable[object]]
) -> None:
    """A TLS connection waits 30 s for the other side's farewell, which is more than a stop may take."""
    pid, bootstrap, hangs = kafka.broker.pid, AIOKafkaClient.bootstrap, asyncio.Event()
    assert pid is not None

    async def bootstrap_and_hang(client: AIOKafkaClient) -> None:
        await bootstrap(client)
        assert await client.ready(client.get_random_node())
        os.kill(pid, signal.SIGSTOP)
        hangs.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(AIOKafkaClient, "bootstrap", bootstrap_and_hang)
    working = asyncio.ensure_future(work(bus_at(kafka.at("SSL"), tls(kafka))))
    try:
        await wait_until(lambda: hangs.is_set() or working.done(), 60, "the broker to hang")
        began = time.monotonic()
        working.cancel()
        await asyncio.wait({working})
        assert working.cancelled()
        assert time.monotonic() - began < 20
    finally:
        os.kill(pid, signal.SIGCONT)
