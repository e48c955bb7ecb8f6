"""The agent's own settings, from the environment as `FARSHORE_EDGE_<NAME>`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from farshore.settings import settings_from_environment
from farshore.topology.fields import ListenAddress, Name
from farshore_edge.runtime import Runtime

_DEFAULTS = Runtime()


class EdgeSettings(BaseSettings):
    """Which edge this is, and where its nginx has its files."""

    model_config = SettingsConfigDict(env_prefix="FARSHORE_EDGE_", frozen=True)

    site: Name = Field(examples=["fra"])
    """The site whose edge it is."""
    config: Path = Field(examples=["/etc/nginx/farshore.conf"])
    """The file that nginx was started with (`nginx -c`); the agent writes it."""
    nginx: Path = Path("nginx")
    """The program: a path, or a name to look for on PATH."""
    agent_listen: ListenAddress = "127.0.0.1:9180"
    """Where nginx answers the agent; for nobody else, so keep it on the loopback."""
    pid_file: Path = _DEFAULTS.pid_file
    """nginx's pid; how the agent finds it."""
    access_log: Path = _DEFAULTS.access_log
    """nginx's access log."""
    error_log: Path = _DEFAULTS.error_log
    """nginx's error log."""
    temp_dir: Path = _DEFAULTS.temp_dir
    """Where nginx makes its temporary folders."""
    ca_file: Path = _DEFAULTS.ca_file
    """What registries behind `https://` are checked against, where the topology says nothing else."""
    hold_dir: Path = _DEFAULTS.hold_dir
    """A file with a registry's name in it holds that registry's writes."""
    user: str = ""
    """Whom nginx's workers run as where root starts it."""

    def runtime(self) -> Runtime:
        """The same for the renderer."""
        return Runtime(
            self.pid_file,
            self.access_log,
            self.error_log,
            self.temp_dir,
            self.ca_file,
            self.hold_dir,
            self.agent_listen,
            user=self.user or None,
        )


def read_edge_settings() -> EdgeSettings:
    """Settings from the environment; raises ConfigurationError that names the variable."""
    return settings_from_environment(EdgeSettings)
