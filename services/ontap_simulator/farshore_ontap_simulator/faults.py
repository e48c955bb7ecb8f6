"""Faults on demand: what is armed, and who it hits."""

from __future__ import annotations

import fnmatch
import threading
import uuid
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Fault(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    times: int = Field(default=1, ge=1, le=1_000_000)
    """How often it strikes before it is used up."""


class _RequestFault(_Fault):
    method: str = "*"
    path: str = "/api/*"
    """Patterns with `*`; the path is without its query."""


class DropReply(_RequestFault):
    """Act on the request, then close the connection instead of answering."""

    kind: Literal["drop_reply"]


class Refuse(_RequestFault):
    """Answer with `status` (and ONTAP's `code`) without acting."""

    kind: Literal["refuse"]
    status: int = Field(default=503, ge=400, le=599)
    code: int | None = None
    message: str = "injected fault"


class Slow(_RequestFault):
    """Act, and answer `seconds` later."""

    kind: Literal["slow"]
    seconds: float = Field(gt=0, le=600)


class FailJob(_Fault):
    """The next jobs whose description matches end in failure with `code`, without acting."""

    kind: Literal["fail_job"]
    description: str = "*"
    code: int = 33554437
    message: str = "injected fault"


class FailTransfer(_Fault):
    """The next transfers to `destination` (a pattern of svm:volume) fail with `code` after `after_bytes`."""

    kind: Literal["fail_transfer"]
    destination: str = "*"
    code: int = 13303892
    message: str = "injected fault"
    after_bytes: int = Field(default=0, ge=0)


class HoldTransfer(_Fault):
    """Transfers to `destination` stop after `after_bytes` until this fault is cleared; `times` isn't counted."""

    kind: Literal["hold_transfer"]
    destination: str = "*"
    after_bytes: int = Field(default=0, ge=0)


class Bandwidth(_Fault):
    """Cap what is sent to and fetched from `peer` (a pattern); `times` isn't counted."""

    kind: Literal["bandwidth"]
    peer: str = "*"
    bytes_per_second: float = Field(gt=0)


class Unreachable(_Fault):
    """Nothing gets through to or from `peer` (a pattern) until cleared; `times` isn't counted."""

    kind: Literal["unreachable"]
    peer: str = "*"


class Clock(_Fault):
    """The cluster's clock is off by `offset_seconds` until cleared; `times` isn't counted."""

    kind: Literal["clock"]
    offset_seconds: float


class AbortTransfer(_Fault):
    """Abort running transfers to `destination` now."""

    kind: Literal["abort_transfer"]
    destination: str = "*"
    hard: bool = False


class Reboot(_Fault):
    """Active transfers fail now, baselines lose their checkpoint; REST answers 503 for `seconds`."""

    kind: Literal["reboot"]
    seconds: float = Field(default=0, ge=0, le=600)


Fault = Annotated[
    DropReply
    | Refuse
    | Slow
    | FailJob
    | FailTransfer
    | HoldTransfer
    | Bandwidth
    | Unreachable
    | Clock
    | AbortTransfer
    | Reboot,
    Field(discriminator="kind"),
]


class Faults:
    """The armed faults of one cluster."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._armed: dict[str, Fault] = {}

    def arm(self, fault: Fault) -> str:
        """Arm a fault; returns its id."""
        with self._condition:
            name = str(uuid.uuid4())
            self._armed[name] = fault
            self._condition.notify_all()
            return name

    def clear(self, name: str | None = None) -> bool:
        """Disarm one, or all; False if it wasn't armed."""
        with self._condition:
            found = name is None or name in self._armed
            if name is None:
                self._armed.clear()
            else:
                self._armed.pop(name, None)
            self._condition.notify_all()
            return found

    def listing(self) -> list[tuple[str, Fault]]:
        """What is armed now, with ids."""
        with self._condition:
            return list(self._armed.items())

    def _strike(self, name: str, fault: Fault) -> None:
        if fault.times == 1:
            del self._armed[name]
        else:
            self._armed[name] = fault.model_copy(update={"times": fault.times - 1})

    def on_request(self, method: str, path: str) -> list[DropReply | Refuse | Slow]:
        """The faults that hit this request; each counts as used."""
        hits: list[DropReply | Refuse | Slow] = []
        with self._condition:
            for name, fault in list(self._armed.items()):
                if (
                    isinstance(fault, DropReply | Refuse | Slow)
                    and fnmatch.fnmatchcase(method, fault.method.upper())
                    and fnmatch.fnmatchcase(path, fault.path)
                ):
                    self._strike(name, fault)
                    hits.append(fault)
        return hits

    def on_job(self, description: str) -> FailJob | None:
        """The fault that hits this job, used up by one."""
        with self._condition:
            for name, fault in list(self._armed.items()):
                if isinstance(fault, FailJob) and fnmatch.fnmatchcase(description, fault.description):
                    self._strike(name, fault)
                    return fault
        return None

    def on_transfer(self, destination: str) -> FailTransfer | None:
        """The failure that waits for this transfer, used up by one."""
        with self._condition:
            for name, fault in list(self._armed.items()):
                if isinstance(fault, FailTransfer) and fnmatch.fnmatchcase(destination, fault.destination):
                    self._strike(name, fault)
                    return fault
        return None

    def held(self, destination: str, transferred: int) -> bool:
        """Whether a transfer that has moved this many bytes has to wait."""
        with self._condition:
            return any(
                isinstance(fault, HoldTransfer)
                and fnmatch.fnmatchcase(destination, fault.destination)
                and transferred >= fault.after_bytes
                for fault in self._armed.values()
            )

    def wait_for_change(self, seconds: float) -> None:
        """Sleep until a fault is armed or cleared, at most `seconds`."""
        with self._condition:
            self._condition.wait(seconds)

    def unreachable(self, peer: str) -> bool:
        """Whether this peer can't be reached."""
        with self._condition:
            return any(
                isinstance(fault, Unreachable) and fnmatch.fnmatchcase(peer, fault.peer)
                for fault in self._armed.values()
            )

    def bandwidth(self, peer: str) -> float:
        """Bytes per second that are left towards this peer; 0 for no cap."""
        with self._condition:
            caps = [
                fault.bytes_per_second
                for fault in self._armed.values()
                if isinstance(fault, Bandwidth) and fnmatch.fnmatchcase(peer, fault.peer)
            ]
        return min(caps, default=0.0)

    def clock_offset_seconds(self) -> float:
        """How far the cluster's clock is off."""
        with self._condition:
            return sum(fault.offset_seconds for fault in self._armed.values() if isinstance(fault, Clock))
