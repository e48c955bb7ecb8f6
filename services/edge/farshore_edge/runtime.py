"""Where nginx puts its files, so that any user can run it."""

import re
from dataclasses import dataclass
from pathlib import Path

from farshore.errors import ConfigurationError

_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?")
_UNSAFE = re.compile(r"[\"\\$;{}'#\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Runtime:
    """Files and processes of one nginx.

    `temp_dir` must exist; nginx makes its folders below it. `single_process` runs nginx without a master: one
    process whose end is the end of everything, which is what a supervisor with its own restarts wants.
    """

    pid_file: Path = Path("/run/nginx.pid")
    access_log: Path = Path("/dev/stdout")
    error_log: Path = Path("/dev/stderr")
    temp_dir: Path = Path("/var/tmp")  # noqa: S108 - nginx makes its folders there with mode 0700
    ca_file: Path = Path("/etc/ssl/certs/ca-certificates.crt")
    """Certificates that registries behind https:// are checked against."""
    hold_dir: Path = Path("/run/farshore-holds")
    """A file with a registry's name in it holds that registry's writes. The folder need not exist."""
    agent_listen: str | None = None
    """`host:port` where nginx tells the agent, and nobody else, which rules it runs and whom it reaches."""
    single_process: bool = False
    user: str | None = None
    """Whom nginx's workers run as where root starts it; left out, whomever it was built for, say `nobody`."""

    @classmethod
    def below(cls, folder: Path, *, access_log: Path, error_log: Path) -> "Runtime":
        """A single process with its pid, holds and temporary files in `folder`."""
        return cls(folder / "nginx.pid", access_log, error_log, folder, hold_dir=folder / "holds", single_process=True)


def user_name(text: str) -> str:
    """`text` as nginx's `user`; raises ConfigurationError where it is no user's name."""
    if not _USER.fullmatch(text):
        raise ConfigurationError("render edge", repr(text), "that is no user's name")
    return text


def quoted(path: Path) -> str:
    """`path` as an nginx string; raises ConfigurationError where it holds characters that nginx would interpret."""
    text = str(path)
    if _UNSAFE.search(text):
        raise ConfigurationError(
            "render edge", repr(text), "nginx would read more than a path in it", hint="use a plainer folder name"
        )
    return f'"{text}"'
