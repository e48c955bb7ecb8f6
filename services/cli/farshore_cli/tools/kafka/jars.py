"""Kafka's jars: pinned by checksum, fetched from Maven Central once, verified before every use.

See docs/adr/0001-real-kafka-without-java.md.
"""

import hashlib
import os
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from farshore.errors import FarshoreError, RetryClass
from farshore_cli.tools.cache import cache_dir

KAFKA_VERSION = "4.4.0"
MAVEN_CENTRAL = "https://repo1.maven.org/maven2"
_LOCK_FILE = Path(__file__).with_name("jars.lock")
_TIMEOUT_SECONDS = 30.0
_ATTEMPTS = 3
_AT_ONCE = 6


class JarsError(FarshoreError):
    """Kafka's jars could not be fetched, or what arrived is not what was pinned."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One pinned jar: its path below a Maven repository's root, and the sha256 of its bytes (hex)."""

    path: str
    sha256: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def pinned_jars(lock_file: Path = _LOCK_FILE) -> tuple[Jar, ...]:
    """The jars that make up Kafka 4.4.0, in class path order."""
    lines = lock_file.read_text().splitlines()
    pairs = (line.split() for line in lines if line and not line.startswith("#"))
    return tuple(Jar(path=path, sha256=sha256) for sha256, path in pairs)


def ensure_jars(
    directory: Path | None = None,
    *,
    jars: Iterable[Jar] | None = None,
    maven_url: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> tuple[Path, ...]:
    """The verified jars' files, in class path order; what is missing or damaged is fetched first.

    Every file is hashed (45 jars, 43 MB: about 50 ms). A file appears under its name only once its checksum
    was right, so several processes may do this at once.

    directory: default `kafka-4.4.0` in the cache. maven_url: default `FARSHORE_MAVEN_URL`, else Maven Central.
    Raises JarsError.
    """
    directory = directory or cache_dir() / f"kafka-{KAFKA_VERSION}"
    wanted = tuple(pinned_jars() if jars is None else jars)
    source = (maven_url or os.environ.get("FARSHORE_MAVEN_URL") or MAVEN_CENTRAL).rstrip("/")
    directory.mkdir(parents=True, exist_ok=True)
    missing = [jar for jar in wanted if not _is_intact(directory / jar.name, jar)]
    if missing:
        report(f"fetching {len(missing)} of Kafka {KAFKA_VERSION}'s {len(wanted)} jars from {source}")
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="jars") as pool:
            list(pool.map(lambda jar: _fetch(source, jar, directory), missing))
    return tuple(directory / jar.name for jar in wanted)


def _is_intact(file: Path, jar: Jar) -> bool:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest() == jar.sha256
    except FileNotFoundError:
        return False


def _fetch(source: str, jar: Jar, directory: Path) -> None:
    url = f"{source}/{jar.path}"
    content = _download(url)
    if hashlib.sha256(content).hexdigest() != jar.sha256:
        raise JarsError(
            "verify",
            url,
            f"its sha256 is not the pinned {jar.sha256} ({len(content)} bytes came)",
            retry=RetryClass.OPERATOR,
            hint="a proxy or mirror changed the file; FARSHORE_MAVEN_URL names another Maven repository",
        )
    handle, name = tempfile.mkstemp(prefix=f".{jar.name}.", suffix=".part", dir=directory)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        part.chmod(0o644)
        part.replace(directory / jar.name)
    finally:
        part.unlink(missing_ok=True)


def _download(url: str) -> bytes:
    """The body of `url`; tries again when the connection breaks."""
    attempt = 1
    while True:
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as body:
                content: bytes = body.read()  # whole: only then a body that was cut short is an error
                return content
        except (OSError, HTTPException) as error:
            refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if refused or attempt == _ATTEMPTS:
                raise JarsError(
                    "fetch",
                    url,
                    str(error) or type(error).__name__,
                    retry=RetryClass.RETRY_SOON,
                    hint="is the network there? FARSHORE_MAVEN_URL names another Maven repository; "
                    "HTTPS_PROXY and SSL_CERT_FILE are heeded",
                ) from error
        time.sleep(attempt)
        attempt += 1
