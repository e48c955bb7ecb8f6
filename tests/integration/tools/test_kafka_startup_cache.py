"""The cache that Kafka's Java starts from."""

import os
from pathlib import Path

import pytest

from farshore_cli.tools.kafka import KAFKA_VERSION, Broker, ensure_jars, startup_cache

pytestmark = pytest.mark.integration


def maps(broker: Broker) -> str:
    """What its process has mapped into memory."""
    return Path(f"/proc/{broker.pid}/maps").read_text()


@pytest.fixture
def cache() -> Path:
    """The one that the set-up made."""
    file = startup_cache()
    if not file.is_file():
        pytest.skip("the set-up couldn't make it, and said why")
    return file


def test_a_broker_starts_from_it(cache: Path, kafka_broker: Broker) -> None:
    assert str(cache) in maps(kafka_broker)
    assert "aot" not in kafka_broker.log_file.read_text(), "Java warned of it"


def test_a_broker_goes_without_one_that_is_damaged(cache: Path, tmp_path: Path) -> None:
    content = bytearray(cache.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 65_536] = bytes(65_536)
    damaged = tmp_path / "damaged.aot"
    damaged.write_bytes(content)
    with Broker(tmp_path / "data", tmp_path / "kafka.log", java_options=[f"-XX:AOTCache={damaged}"]) as broker:
        assert "Checksum verification failed" in broker.log_file.read_text()


def test_a_broker_starts_where_it_was_not_made_or_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "cache" / f"kafka-{KAFKA_VERSION}"
    own.mkdir(parents=True)
    for jar in ensure_jars():
        (own / jar.name).symlink_to(jar)
    monkeypatch.setenv("FARSHORE_CACHE", str(tmp_path / "cache"))
    with Broker(tmp_path / "data", tmp_path / "kafka.log") as broker:
        assert ".aot" not in maps(broker)
    startup_cache().write_bytes(b"not a cache")
    with Broker(tmp_path / "data", tmp_path / "kafka.log") as broker:
        assert "Unable to map" in broker.log_file.read_text()


def test_another_time_of_a_jar_asks_for_another_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Java, which compares the times, would not take the old one."""
    own = tmp_path / f"kafka-{KAFKA_VERSION}"
    own.mkdir()
    for jar in ensure_jars():
        (own / jar.name).write_bytes(b"a jar")
    monkeypatch.setenv("FARSHORE_CACHE", str(tmp_path))
    before = startup_cache()
    assert startup_cache() == before
    os.utime(own / jar.name, (1, 1))
    assert startup_cache() != before
