"""Refusals as ONTAP words and numbers them.

Source of codes: the error tables of the ONTAP REST reference 9.6-9.16 (`snapmirror/relationships`,
`snapmirror/relationships/{uuid}/transfers`, `storage/volumes`, `storage/volumes/{uuid}/snapshots`).
"""

from __future__ import annotations

from http import HTTPStatus

BUSY_TEXT = "Another transfer is in progress"

UPDATE_FAILED = 13303844
INITIALIZE_FAILED = 13303812
BREAK_FAILED = 13303808
RESYNC_FAILED = 13303810
RESUME_FAILED = 13303811
ABORT_IMPOSSIBLE = 13303849
INVALID_STATE_CHANGE = 13303831
ALREADY_INITIALIZED = 13303832
NOT_A_DP_VOLUME = 6619546
RELATIONSHIP_EXISTS = 6619637
SAME_VOLUME = 6619441
PATHS_DIFFER = 13304120
POLICY_UNKNOWN = 13303821
NOT_PEERED = 13303939
PEER_UNREACHABLE = 13303892
SNAPSHOT_EXISTS = 525059
TOO_MANY_SNAPSHOTS = 525062
SNAPSHOT_UNCERTAIN = 1638537
NOT_READ_WRITE = 1638461
NO_SNAPSHOT_NOW = 524479
BAD_SNAPSHOT_NAME = 1638518
SNAPSHOT_BUSY = 1638543
SNAPSHOT_GONE = 1638600
VOLUME_EXISTS = 917526
BAD_VOLUME_NAME = 917887
VOLUME_BUSY = 918701
SVM_UNKNOWN = 2621462
AGGREGATE_UNKNOWN = 917508
ENTRY_MISSING = 4
ENTRY_EXISTS = 1
INVALID_VALUE = 262197
MISSING_VALUE = 262188
NOT_AUTHORIZED = 6691623
NOT_IN_THE_ROLE = 6
INTERNAL = 33554437
TRANSFER_ABORTED = 13303851
TRANSFER_NETWORK = 13303892


class OntapError(Exception):
    """One refusal: `code` and `message` as ONTAP gives them, `status` for HTTP, `target` the field at fault."""

    def __init__(
        self, code: int, message: str, *, status: int = HTTPStatus.BAD_REQUEST, target: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = int(status)
        self.target = target

    def body(self) -> dict[str, dict[str, str]]:
        """The error as a response body; the code is a string there (ONTAP REST, "Errors")."""
        error = {"message": self.message, "code": str(self.code)}
        if self.target is not None:
            error["target"] = self.target
        return {"error": error}


def missing_entry(target: str | None = None) -> OntapError:
    return OntapError(ENTRY_MISSING, "entry doesn't exist", status=HTTPStatus.NOT_FOUND, target=target)


def invalid_value(field: str, value: object) -> OntapError:
    return OntapError(INVALID_VALUE, f'The value "{value}" is invalid for field "{field}".', target=field)


def missing_value(field: str) -> OntapError:
    return OntapError(MISSING_VALUE, f'Missing value "{field}".', target=field)


def busy(code: int, relationship_path: str) -> OntapError:
    """A transfer is running: ONTAP refuses, it doesn't queue or merge. `code` is that of the call refused."""
    what = {
        INITIALIZE_FAILED: "initialize",
        BREAK_FAILED: "break",
        RESYNC_FAILED: "resync",
        RESUME_FAILED: "resume",
    }.get(code, "update")
    return OntapError(
        code,
        f'SnapMirror {what} on relationship "{relationship_path}" failed. ({BUSY_TEXT})',
        status=HTTPStatus.CONFLICT,
    )


def offline(code: int, volume_path: str) -> OntapError:
    """The volume is there, but not online. `code` is that of the call refused."""
    return refused(code, f'Volume "{volume_path}" is offline.')


def refused(code: int, text: str, status: int = HTTPStatus.BAD_REQUEST) -> OntapError:
    return OntapError(code, text, status=status)
