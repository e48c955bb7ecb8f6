"""Makes the cache that Kafka starts from."""

import tempfile
from pathlib import Path

from farshore.errors import FarshoreError, RetryClass
from farshore_cli.tools.child import tail
from farshore_cli.tools.kafka.broker import Broker
from farshore_cli.tools.kafka.jars import ensure_jars
from farshore_cli.tools.kafka.startup_cache import startup_cache

# Of compiled code it keeps nothing: Java 25.0.2 warns at each start that a part of it is another's.
_CLASSES_ONLY = ("-XX:+UnlockDiagnosticVMOptions", "-XX:-AOTAdapterCaching", "-XX:-AOTStubCaching")
_WRITTEN_WITHIN_SECONDS = 180.0
"""Java writes the cache when it ends; that takes 5 s of processor time."""


def make_startup_cache() -> None:
    """Start a broker and end it, which leaves the cache (62 MB) beside the jars; nothing happens when it is there.

    The file gets its name once it is whole, so several processes may do this at once. Files of other Javas or jars are
    removed. Blocking, for about 10 s. Raises FarshoreError when the broker failed, or left nothing; OSError.
    """
    ensure_jars()
    file = startup_cache()
    if file.is_file():
        return
    for stale in file.parent.glob("startup-*.aot"):
        stale.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix=".startup-", dir=file.parent) as name:
        folder = Path(name)
        written = folder / file.name
        options = [*_CLASSES_ONLY, f"-XX:AOTCacheOutput={written}"]
        with Broker(folder / "data", folder / "kafka.log", java_options=options) as broker:
            broker.stop(_WRITTEN_WITHIN_SECONDS)
        if not written.is_file():
            raise FarshoreError(
                "write", str(written), tail(broker.log_file), retry=RetryClass.OPERATOR, hint="is the disk full?"
            )
        written.replace(file)
