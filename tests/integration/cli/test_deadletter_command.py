"""`farshore deadletter` against a real Kafka: what it shows, and that each letter is sent back once."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from farshore_command import end_of, farshore, start_farshore
from kafka_log import delete_topic, read_all
from record_examples import ARRIVAL, READINESS, arrival_record
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.end_of_log import end_of_log
from farshore.bus.topics import ALL_TOPICS, ARRIVALS, DEADLETTER, create_missing_topics
from farshore.bus.topics import READINESS as READINESS_TOPIC
from farshore.records.cloudevent import Headers
from farshore.records.deadletters import DeadLetter
from farshore.records.readiness import ReadinessState
from farshore_cli.tools.kafka import Broker
from farshore_cli.tools.ports import free_port

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC)
KEY = b"team/app"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A Kafka of the module's own: farshore's topics have fixed names."""
    folder = tmp_path_factory.mktemp("kafka")
    with Broker(folder / "data", folder / "kafka.log") as running:
        yield running


@pytest.fixture
async def kafka(broker: Broker) -> AsyncIterator[str]:
    """Its address, with farshore's topics empty."""
    await create_missing_topics(Bus(broker.bootstrap))
    yield broker.bootstrap
    for topic in ALL_TOPICS:
        await delete_topic(broker.bootstrap, topic.name)


def arrival_letter(number: int = 0, code: str = "not-found", **changed: Any) -> DeadLetter:
    """A verifier's letter; its arrival has an id of its own by `number`."""
    headers, value = arrival_record()
    headers = [(name, b"id-%d" % number if name == "ce_id" else raw) for name, raw in headers]
    fields: dict[str, Any] = {
        "service": "farshore-verifier",
        "source": f"farshore.arrivals/0@{number}",
        "code": code,
        "reason": "the site says 404",
        "at": NOW,
        "value": value,
        "original_headers": tuple(headers),
        **changed,
    }
    return DeadLetter(**fields)


def notification_letter(code: str = "wrong-registry", **changed: Any) -> DeadLetter:
    body = {"events": [{"target": {"repository": "lib/app", "tag": "v1"}}]}
    fields: dict[str, Any] = {
        "service": "farshore-receiver",
        "source": "POST /v1/notifications/main",
        "code": code,
        "reason": "lib/app belongs to another registry",
        "at": NOW,
        "value": json.dumps(body).encode(),
        "original_headers": (("content-type", b"application/json"), ("authorization", b"Bearer s3cret-in-header")),
        **changed,
    }
    return DeadLetter(**fields)


async def write(kafka: str, *letters: DeadLetter | tuple[Headers, bytes | None], key: bytes = KEY) -> None:
    async with producing(kafka) as producer:
        records = [one if isinstance(one, tuple) else (one.headers(), one.value) for one in letters]
        sent = [
            await producer.send(DEADLETTER.name, value, key=key, headers=headers, partition=0)
            for headers, value in records
        ]
        await asyncio.gather(*sent)


@asynccontextmanager
async def producing(kafka: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = Bus(kafka).producer()
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def listed(kafka: str, *options: str) -> list[dict[str, Any]]:
    done = await farshore("deadletter", "list", "--kafka", kafka, "--output", "json", *options)
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


async def offsets(kafka: str, *options: str) -> list[int]:
    return [row["offset"] for row in await listed(kafka, *options)]


async def arrived(kafka: str) -> "Counter[bytes]":
    """How often each arrival stands in farshore.arrivals, committed."""
    found: Counter[bytes] = Counter()
    for partition in range(ARRIVALS.partitions):
        for record in await read_all(Bus(kafka), ARRIVALS.name, partition):
            found[dict(record.headers)["ce_id"]] += 1
    return found


HOSTILE: Sequence[tuple[Headers, bytes | None]] = (
    ([], b""),
    ([], None),
    ([("farshore_service", b"\xff\xfe")], b"x"),
    ([("farshore_redriven", b"-1")], b""),
    ([("farshore_redriven", b"9" * 4000), ("farshore_to", b"x"), ("farshore_at", b"2026-01-01T00:00:00Z")], b""),
    (arrival_letter(source="POST /v1/notifications/../../etc/passwd").headers(), b"{}"),
    (arrival_letter(source="farshore.events/0@1").headers(), b"{}"),
    (arrival_letter(reason="\x1b[2J\x1b]0;owned\x07" + "r" * 10_000).headers(), b"[" * 100_000),
    (notification_letter(original_headers=(("content-type", b"a/b\r\nHost: evil"),)).headers(), b"{}"),
)


async def test_filters_choose_by_service_code_registry_site_time_and_number(kafka: str) -> None:
    await write(
        kafka,
        arrival_letter(),
        arrival_letter(code="corrupt", at=NOW - timedelta(hours=3)),
        notification_letter(),
        notification_letter(source="POST /v1/notifications/other"),
    )
    assert await offsets(kafka) == [0, 1, 2, 3]
    assert await offsets(kafka, "--service", "verifier") == [0, 1]
    assert await offsets(kafka, "--service", "farshore-receiver") == [2, 3]
    assert await offsets(kafka, "--code", "corrupt") == [1]
    assert await offsets(kafka, "--registry", "main") == [0, 1, 2]
    assert await offsets(kafka, "--site", "fra", "--since", "2h") == [0]
    assert await offsets(kafka, "--site", "syd") == []
    assert await offsets(kafka, "--limit", "2") == [2, 3]
    rows = await listed(kafka)
    assert [(row["registry"], row["site"], row["image"]) for row in rows[1:3]] == [
        ("main", "fra", "team/app:v1"),
        ("main", None, "lib/app:v1"),
    ]


async def test_only_committed_letters_are_listed(kafka: str) -> None:
    producer = Bus(kafka).transactional_producer("test-of-the-list")
    await producer.start()
    try:
        for commit in (False, True):
            await producer.begin_transaction()
            letter = arrival_letter(code="committed" if commit else "aborted")
            await producer.send_and_wait(DEADLETTER.name, letter.value, key=KEY, headers=letter.headers())
            await (producer.commit_transaction() if commit else producer.abort_transaction())
    finally:
        await producer.stop()
    assert [row["code"] for row in await listed(kafka)] == ["committed"]


async def test_hostile_letters_are_told_and_never_sent(kafka: str) -> None:
    await write(kafka, *HOSTILE, arrival_letter(77))
    table = await farshore("deadletter", "list", "--kafka", kafka)
    assert table.code == 0, table.err
    assert "\x1b" not in table.out
    assert "\x07" not in table.out
    assert len(table.out.splitlines()) == 1 + len(HOSTILE) + 1
    for offset in (1, 7):  # no letter, and one that would take over the terminal
        for output in ("text", "json"):
            shown = await farshore("deadletter", "show", str(offset), "--kafka", kafka, "--output", output)
            assert shown.code == 0, (offset, shown)
            assert "\x1b" not in shown.out
    done = await farshore("deadletter", "redrive", "--all", "--force", "--yes", "--kafka", kafka)
    assert done.code == 1, done
    hostile_reason = 7  # an arrival's source, so --force sends it
    assert [line.split(":")[0] for line in done.out.splitlines() if "refused:" in line] == [
        str(offset) for offset in range(len(HOSTILE)) if offset != hostile_reason
    ]
    assert (await arrived(kafka))[b"id-77"] == 1


async def test_a_letter_is_shown_whole_but_for_secrets(kafka: str) -> None:
    await write(kafka, notification_letter(), notification_letter(value=b"\x00\xffno JSON"))
    text = await farshore("deadletter", "show", "0", "--kafka", kafka)
    assert text.code == 0, text.err
    assert '"repository": "lib/app"' in text.out
    assert "goes to POST /v1/notifications/main" in text.out
    assert "s3cret" not in text.out + text.err
    whole = json.loads((await farshore("deadletter", "show", "1", "--kafka", kafka, "--output", "json")).out)
    assert (whole["value"], whole["value_base64"]) == (None, "AP9ubyBKU09O")
    assert ["authorization", "***"] in whole["headers"]
    assert r"\x00\xffno JSON" in (await farshore("deadletter", "show", "1", "--kafka", kafka)).out
    assert (await farshore("deadletter", "show", "2", "--kafka", kafka)).code == 1


async def test_an_arrival_goes_back_as_it_was_once_and_out_of_order(kafka: str) -> None:
    await write(kafka, *(arrival_letter(number) for number in range(4)))
    first = await farshore("deadletter", "redrive", "2", "0", "--yes", "--kafka", kafka)
    assert first.code == 0, first
    again = await farshore("deadletter", "redrive", "2", "--yes", "--kafka", kafka)
    assert (again.code, "1 sent back before" in again.out) == (0, True)
    assert await arrived(kafka) == {b"id-0": 1, b"id-2": 1}
    assert [row["sent_back"] for row in await listed(kafka)] == [True, False, True, False]
    everything = await farshore("deadletter", "redrive", "--all", "--yes", "--kafka", kafka)
    assert everything.code == 0, everything
    assert await arrived(kafka) == {b"id-%d" % number: 1 for number in range(4)}
    records = [r for number in range(4) for r in await read_all(Bus(kafka), ARRIVALS.name, number)]
    letter = arrival_letter(0)
    back = next(record for record in records if dict(record.headers)["ce_id"] == b"id-0")
    assert (back.key, back.value, tuple(back.headers)) == (KEY, letter.value, letter.original_headers)
    assert len({record.partition for record in records}) == 1
    shown = json.loads((await farshore("deadletter", "show", "0", "--kafka", kafka, "--output", "json")).out)
    assert shown["sent_back"].endswith("to farshore.arrivals")


async def test_a_dry_run_changes_nothing(kafka: str) -> None:
    await write(kafka, arrival_letter(), notification_letter())
    end = await end_of_log(Bus(kafka), TopicPartition(DEADLETTER.name, 0))
    done = await farshore("deadletter", "redrive", "--all", "--dry-run", "--kafka", kafka)
    assert done.code == 0, done
    assert "0: would go to farshore.arrivals" in done.out
    assert "1: would go to POST /v1/notifications/main" in done.out
    assert await end_of_log(Bus(kafka), TopicPartition(DEADLETTER.name, 0)) == end
    assert not await arrived(kafka)


async def test_what_cannot_heal_is_refused_unless_forced_and_what_was_cut_always(kafka: str) -> None:
    await write(kafka, arrival_letter(0, code="malformed"), notification_letter(is_cut=True))
    done = await farshore("deadletter", "redrive", "0", "1", "5", "--yes", "--kafka", kafka)
    assert done.code == 1
    assert "0: refused: it is no arrival" in done.out
    assert "1: refused: only its beginning was kept" in done.out
    assert "5: there is no letter" in done.out
    forced = await farshore("deadletter", "redrive", "0", "1", "--yes", "--force", "--kafka", kafka)
    assert forced.code == 1
    assert "1: refused: only its beginning was kept" in forced.out
    assert await arrived(kafka) == {b"id-0": 1}


async def test_an_arrival_that_a_later_one_overtook_stays(kafka: str) -> None:
    """Sent back, it would come behind the later one, and be the last word on the image."""
    later = f"{ARRIVAL.generation.incarnation}-0-{ARRIVAL.generation.offset + 1}"
    statement = READINESS.model_copy(update={"generation": later, "state": ReadinessState.READY}).to_cloudevent()
    async with producing(kafka) as producer:
        await producer.send_and_wait(
            READINESS_TOPIC.name, statement.data, key=READINESS.key.encode(), headers=statement.headers()
        )
    await write(kafka, arrival_letter())
    done = await farshore("deadletter", "redrive", "--all", "--yes", "--kafka", kafka)
    assert done.code == 1
    assert "readiness says ready for a later event of the same image" in done.out
    assert not await arrived(kafka)


async def test_killed_in_the_middle_and_run_again_each_letter_is_sent_once(kafka: str) -> None:
    letters = 6_000
    await write(kafka, *(arrival_letter(number) for number in range(letters)))
    before = 0
    for _ in range(2):
        async with ends_of_arrivals(kafka) as ends:
            reached = await ends()

            async def goes_on(reached: int = reached, ends: Callable[[], Awaitable[int]] = ends) -> bool:
                return await ends() > reached + 500

            process = await start_farshore("deadletter", "redrive", "--all", "--yes", "--kafka", kafka)
            await wait_until(goes_on, 60, "letters to be sent back")
        with suppress(ProcessLookupError):  # on a busy machine it may be done before it is seen at work
            process.kill()
        assert (await end_of(process)).code in (0, -signal.SIGKILL)
        counts = await arrived_when_quiet(kafka)
        assert set(counts.values()) == {1}
        before = len(counts)
        if before == letters:
            break
    done = await farshore("deadletter", "redrive", "--all", "--yes", "--kafka", kafka)
    assert done.code == 0, done
    assert f"{letters - before} sent back" in done.out
    assert await arrived(kafka) == {b"id-%d" % number: 1 for number in range(letters)}
    assert all(row["sent_back"] for row in await listed(kafka))


@asynccontextmanager
async def ends_of_arrivals(kafka: str) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """Tells how many records there are, committed or not, by a client that is connected: a redrive is quick."""
    partitions = [TopicPartition(ARRIVALS.name, number) for number in range(ARRIVALS.partitions)]
    async with Bus(kafka).reader(committed=False) as reader:

        async def ends() -> int:
            return sum((await reader.end_offsets(partitions)).values())

        yield ends


async def arrived_when_quiet(kafka: str) -> "Counter[bytes]":
    """`arrived`, after ending whatever transaction a killed redrive left open."""
    producer = Bus(kafka).transactional_producer("farshore.redrive.farshore.deadletter.0")
    await producer.start()
    await producer.stop()
    return await arrived(kafka)


async def test_two_at_once_send_each_letter_once(kafka: str) -> None:
    letters = 3_000
    await write(kafka, *(arrival_letter(number) for number in range(letters)))
    command = ("deadletter", "redrive", "--all", "--yes", "--kafka", kafka)
    both = await asyncio.gather(*(farshore(*command) for _ in range(2)))
    assert {done.code for done in both} <= {0, 1}, both
    assert 0 in {done.code for done in both}, both
    assert await arrived(kafka) == {b"id-%d" % number: 1 for number in range(letters)}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["redrive"], 2),
        (["redrive", "1", "--all"], 2),
        (["redrive", "1", "--site", "fra"], 2),
        (["redrive", "--all", "--receiver", "nowhere"], 2),
        (["list", "--since", "soon"], 2),
    ],
)
async def test_wrong_usage_is_told_before_anything_is_asked(arguments: list[str], code: int) -> None:
    done = await farshore("deadletter", *arguments, "--kafka", f"127.0.0.1:{free_port()}")
    assert done.code == code, done


async def test_nobody_to_ask_is_wrong_usage(kafka: str) -> None:
    await write(kafka, arrival_letter())
    assert (await farshore("deadletter", "redrive", "--all", "--kafka", kafka)).code == 2
    await write(kafka, notification_letter())
    assert (await farshore("deadletter", "redrive", "1", "--yes", "--kafka", kafka)).code == 2
    assert not await arrived(kafka)


async def test_without_kafka_it_is_unavailable() -> None:
    for arguments in (["list"], ["show", "0"], ["redrive", "--all"]):
        done = await farshore("deadletter", *arguments, "--kafka", f"127.0.0.1:{free_port()}")
        assert done.code == 69, done
        assert "farshore: " in done.err


async def test_a_kafka_that_is_not_farshores_is_a_wrong_setting(broker: Broker) -> None:
    done = await farshore("deadletter", "list", "--kafka", broker.bootstrap)
    assert done.code == 78, done
