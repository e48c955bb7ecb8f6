"""The receiver's own settings, from the environment as `FARSHORE_RECEIVER_<NAME>`."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from farshore.settings import settings_from_environment
from farshore.topology.fields import ListenAddress

_PREFIX = "FARSHORE_RECEIVER_"


class ReceiverSettings(BaseSettings):
    """Limits. Times in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True)

    workers: int = Field(default=1, ge=1, le=256)
    """Processes behind the one port."""
    worker_timeout: float = Field(default=10.0, ge=1, le=600, allow_inf_nan=False)
    """One of several workers that says nothing for so long hangs, and is replaced."""
    management_listen: ListenAddress = "127.0.0.1:0"
    """`host:port` of `/metrics`, which tells registries' names, and of health once more."""
    acknowledge_timeout: float = Field(default=0.8, gt=0, le=4)
    """Longest wait for Kafka before the answer is 503. A registry's own time-out is 1 s unless it is configured; the
    upper bound leaves time to answer within the 5 s in which a stopping service finishes its requests."""
    body_timeout: float = Field(default=4.0, gt=0, le=60)
    """Longest wait for a whole body, then 408."""
    max_body_bytes: int = Field(default=4 * 1024 * 1024, ge=1024)
    """A longer body isn't parsed: its beginning becomes a dead letter."""
    max_dead_letter_bytes: int = Field(default=900_000, ge=1024, le=900_000)
    """How much of a body a dead letter keeps; Kafka's default limit of a record is 1 MiB with its headers.
    Lower it where `max.message.bytes` is lower: a dead letter that Kafka refuses leaves its sender with 503."""
    head_timeout: float = Field(default=10.0, gt=0, le=60)
    """Longest wait for the head of a request, then 408; also for the rest of a body that was answered early, and for
    an answer to be read, then the connection is cut."""
    max_connections: int = Field(default=10_000, ge=1)
    """Connections open at once; one more is answered 503 and closed."""
    max_requests: int = Field(default=64, ge=1)
    """Requests under way at once, then 503: with `max_body_bytes` the bound of the memory that bodies take."""


def read_receiver_settings() -> ReceiverSettings:
    """Settings from the environment; raises ConfigurationError that names the variable."""
    return settings_from_environment(ReceiverSettings)
