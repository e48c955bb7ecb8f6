"""Control messages of the intercluster protocol, parsed at the border."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from farshore_ontap_simulator.model.records import Policy
from farshore_ontap_simulator.transfer.frames import ProtocolError
from farshore_ontap_simulator.transfer.plan import Offered

Name = Annotated[str, Field(max_length=512)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class LimitsMessage(_Message):
    """What the destination's side of the link allows."""

    op: Literal["limits"] = "limits"
    latency_seconds: float = Field(default=0.0, ge=0, le=60)
    bytes_per_second: float = Field(default=0.0, ge=0)


class Describe(_Message):
    """Who are you, and which SVMs do you have?"""

    op: Literal["describe"] = "describe"
    cluster: Name


class Open(_Message):
    """The start of a session about one relationship."""

    op: Literal["open"] = "open"
    cluster: Name
    relationship: Name
    source: Name
    destination: Name
    compression: bool = False
    limits: LimitsMessage = LimitsMessage()


class Create(_Message):
    """Take a snapshot of the source volume."""

    op: Literal["create"] = "create"
    name: Name


class Hold(_Message):
    """These snapshots (version uuids) must stay until the next Commit."""

    op: Literal["hold"] = "hold"
    versions: Annotated[list[Name], Field(max_length=2048)]


class Commit(_Message):
    """This snapshot (version uuid) is the base from now on; the others are free."""

    op: Literal["commit"] = "commit"
    base: Name


class Release(_Message):
    """The relationship is gone: everything is free."""

    op: Literal["release"] = "release"


class TableRequest(_Message):
    """Send the list of chunks of a snapshot's table."""

    op: Literal["table"] = "table"
    version: Name


class Reverse(_Message):
    """Become the destination of this relationship; `source` is the path at the cluster that asks."""

    op: Literal["reverse"] = "reverse"
    cluster: Name
    relationship: Name
    source: Name
    destination: Name
    policy: Policy


Request = Annotated[
    LimitsMessage | Describe | Open | Create | Hold | Commit | Release | TableRequest | Reverse,
    Field(discriminator="op"),
]
_REQUEST: TypeAdapter[Request] = TypeAdapter(Request)


class Described(_Message):
    cluster: Name
    uuid: Name
    svms: list[Name] = []


class Opened(_Message):
    """The source volume's side: its snapshots that may be sent, oldest first."""

    cluster: Name
    uuid: Name
    volume: Name
    type: Name
    snapshots: list[Offered] = []


class Created(_Message):
    snapshot: Offered


class TableReply(_Message):
    """`logical_bytes` and `files` of the table; the chunk ids come in the next frame."""

    files: int = Field(ge=0)
    logical_bytes: int = Field(ge=0)


class Done(_Message):
    done: bool = True


class Refusal(_Message):
    """The other side says no, with ONTAP's code."""

    code: int
    message: str


M = TypeVar("M", bound=BaseModel)


def parse_request(message: dict[str, Any]) -> Request:
    """Raises ProtocolError."""
    try:
        return _REQUEST.validate_python(message)
    except ValidationError as error:
        raise ProtocolError(f"a control message that isn't understood: {error.error_count()} errors") from error


def parse_reply(kind: type[M], message: dict[str, Any]) -> M:
    """Raises ProtocolError."""
    try:
        return kind.model_validate(message)
    except ValidationError as error:
        raise ProtocolError(f"a reply that isn't understood: {error.error_count()} errors") from error
