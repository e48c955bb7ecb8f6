"""The cache that Kafka's Java starts from."""

from pathlib import Path

import pytest

from farshore_cli.tools.kafka import KAFKA_VERSION, Broker, ensure_jars, startup_cache

pytestmark = pytest.mark.integration


def maps(broker: Broker) -> str:
    """What its process has mapped into memory."""
    return Path(f"/proc/{broker.pid}/maps").read_text()


def test_a_broker_starts_from_the_cache_that_the_set_up_made(kafka_broker: Broker) -> None:
    if not startup_cache().is_file():
        pytest.skip("the set-up couldn't make it, and said why")
    assert str(startup_cache()) in maps(kafka_broker)
    assert "aot" not in kafka_broker.log_file.read_text(), "Java warned of it"


def test_without_it_or_with_a_spoilt_one_a_broker_starts_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "cache" / f"kafka-{KAFKA_VERSION}"
    own.mkdir(parents=True)
    for jar in ensure_jars():
        (own / jar.name).symlink_to(jar)
    monkeypatch.setenv("FARSHORE_CACHE", str(tmp_path / "cache"))
    with Broker(tmp_path / "data", tmp_path / "kafka.log") as broker:
        assert ".aot" not in maps(broker)
    startup_cache().write_bytes(b"not a cache")
    with Broker(tmp_path / "data", tmp_path / "kafka.log") as broker:
        assert "Unable to map" in broker.log_file.read_text(), "it didn't look at the file"
