"""What ONTAP refuses and what to do about it: one table, four classes.

Codes: the response tables of the ONTAP REST reference 9.6-9.16 for `snapmirror/relationships`,
`snapmirror/relationships/{uuid}/transfers`, `storage/volumes` and `storage/volumes/{uuid}/snapshots`.
"""

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from types import MappingProxyType

from farshore.errors import FarshoreError, RetryClass

SOON, REDISCOVER, FINAL, OPERATOR = (
    RetryClass.RETRY_SOON,
    RetryClass.REDISCOVER,
    RetryClass.FINAL,
    RetryClass.OPERATOR,
)


class Call(StrEnum):
    """Kinds of calls that give the same code the same meaning."""

    READ = "read"
    TRANSFER_POST = "transfer post"
    TRANSFER_PATCH = "transfer patch"
    RELATIONSHIP_POST = "relationship post"
    RELATIONSHIP_PATCH = "relationship patch"
    RELATIONSHIP_DELETE = "relationship delete"
    SNAPSHOT_POST = "snapshot post"
    SNAPSHOT_DELETE = "snapshot delete"
    VOLUME_POST = "volume post"
    VOLUME_PATCH = "volume patch"
    VOLUME_DELETE = "volume delete"
    POLICY_POST = "policy post"
    POLICY_PATCH = "policy patch"
    EMS_POST = "ems post"
    EMS_PATCH = "ems patch"


NAME_EXISTS = 525059
VOLUME_EXISTS = 917526
RELATIONSHIP_EXISTS = 6619637
SNAPSHOT_GONE = 1638600
ENTRY_EXISTS = 1
ENTRY_MISSING = 4
NOT_AUTHORIZED = 6691623

BY_TEXT: Mapping[Call, frozenset[int]] = MappingProxyType(
    {
        Call.TRANSFER_POST: frozenset({13303844, 13303812, 13303845}),
        Call.RELATIONSHIP_PATCH: frozenset({13303808, 13303809, 13303810, 13303811, 13303812}),
        Call.RELATIONSHIP_POST: frozenset({13303812}),
    }
)
"""Codes that say only that the operation failed; the message tells why."""

TEXTS: tuple[tuple[str, RetryClass], ...] = (
    ("another transfer is in progress", SOON),
    ("no common snapshot", OPERATOR),
    ("offline", OPERATOR),
    ("not online", OPERATOR),
    ("not peered", OPERATOR),
    ("cannot be reached", SOON),
    ("not reachable", SOON),
    ("network", SOON),
    ("timed out", SOON),
    ("peer", OPERATOR),
)
"""What a message of those codes holds, in lower case, most telling first. Anything else (paused, broken off, not
initialised, no such snapshot) means that the world isn't as believed."""

TABLE: Mapping[Call, Mapping[int, RetryClass]] = MappingProxyType(
    {
        Call.TRANSFER_POST: {
            6619720: SOON,  # relationship data still propagating
            13303816: SOON,  # state could not be read
            13304159: SOON,
            6620237: SOON,  # relationship database write, read
            6620238: SOON,
            13303847: FINAL,  # invalid property
            13303892: SOON,  # the peer can't be reached just now: unlike at creation, it could before
        },
        Call.TRANSFER_PATCH: {13303849: REDISCOVER},  # it ended: nothing to abort
        Call.RELATIONSHIP_PATCH: {
            13303830: SOON,  # transient state
            6619715: SOON,  # a modification is in progress
            13303817: REDISCOVER,  # unknown, invalid or impossible change of state
            13303818: REDISCOVER,
            13303829: REDISCOVER,
            13303831: REDISCOVER,
            13303833: REDISCOVER,
            13303832: REDISCOVER,
            13303823: SOON,  # quiesce timed out, failed
            13303824: SOON,
            6619546: FINAL,  # destination is not a DP volume
            13304062: OPERATOR,  # reversal: source older than destination
            13304003: OPERATOR,  # reversal: same cluster
            13304086: OPERATOR,  # reversal: policy without create_snapshot_on_source
            13304120: FINAL,  # paths are not those of the relationship
        },
        Call.RELATIONSHIP_POST: {
            RELATIONSHIP_EXISTS: REDISCOVER,
            6619441: FINAL,  # source and destination are one volume
            13303821: FINAL,  # policy unknown, unreadable, not allowed, differs between clusters
            13303819: FINAL,
            13303866: FINAL,
            13303996: FINAL,
            13303886: OPERATOR,  # SVM peer permission, peering, remote cluster not reachable
            13303939: OPERATOR,
            13303892: OPERATOR,
            13303875: OPERATOR,  # no space for the copy
            6619546: FINAL,
        },
        Call.RELATIONSHIP_DELETE: {13303813: SOON, 13303822: SOON},  # released but not deleted, release failed
        Call.SNAPSHOT_POST: {
            NAME_EXISTS: REDISCOVER,
            525062: OPERATOR,  # 1,023 snapshots
            524479: OPERATOR,  # volume offline, or no space
            1638461: FINAL,  # not a read-write volume
            1638518: FINAL,  # bad name
            1638532: SOON,  # revert in progress
            1638537: SOON,  # outcome unknown
        },
        Call.SNAPSHOT_DELETE: {1638543: SOON, SNAPSHOT_GONE: REDISCOVER, 1638538: REDISCOVER},
        Call.VOLUME_POST: {
            VOLUME_EXISTS: REDISCOVER,
            917508: FINAL,  # aggregate unknown
            918242: FINAL,  # not exactly one aggregate
            917534: FINAL,  # too small
            917887: FINAL,  # bad name
            918252: FINAL,  # bad junction
            917536: SOON,  # DP volume not initialised yet
        },
        Call.VOLUME_PATCH: {917536: SOON, 918252: FINAL},
        Call.POLICY_POST: {ENTRY_EXISTS: REDISCOVER, RELATIONSHIP_EXISTS: REDISCOVER},
        Call.EMS_POST: {ENTRY_EXISTS: REDISCOVER},
    }
)

_HINTS: Mapping[int, str] = MappingProxyType(
    {
        525062: "delete snapshots of the volume: ONTAP keeps 1,023 at most",
        524479: "bring the volume online or give it space",
        13303886: "allow snapmirror in the SVM peer permission on the source cluster",
        13303939: "peer the two SVMs for snapmirror",
        13303892: "check the intercluster network and the cluster peer",
        13303875: "give the destination's aggregate space",
        13304062: "the source holds less than the destination: run a transfer before the reversal",
        13304003: "source and destination are on one cluster, where a reversal isn't offered",
        13304086: "use a policy that creates source snapshots",
        NOT_AUTHORIZED: "check the user name, the password and the role's access to this command",
        6619546: "the destination has to be a volume of type dp",
    }
)
_TEXT_HINTS: tuple[tuple[str, str], ...] = (
    ("no common snapshot", "resync from a snapshot that both sides have, or initialise the relationship anew"),
    ("offline", "bring the volume online"),
    ("not online", "bring the volume online"),
    ("peer", "check that the clusters and the SVMs are peered for snapmirror"),
)
_CLASS_HINTS: Mapping[RetryClass, str] = MappingProxyType(
    {
        SOON: "",
        REDISCOVER: "",
        FINAL: "correct the topology or the cluster's configuration",
        OPERATOR: "an administrator of the cluster has to act; farshore looks again by itself",
    }
)


class OntapError(FarshoreError):
    """A call to a cluster that failed. `code` is ONTAP's, `http_status` the reply's; both None when no reply came.

    `ambiguous` says that the call may have been carried out all the same: read the world before trying again.
    """

    def __init__(
        self,
        operation: str,
        subject: str,
        reason: str,
        *,
        retry: RetryClass,
        hint: str = "",
        code: int | None = None,
        http_status: int | None = None,
        ambiguous: bool = False,
    ) -> None:
        super().__init__(operation, subject, reason, retry=retry, hint=hint)
        self.code = code
        self.http_status = http_status
        self.ambiguous = ambiguous


def classify(call: Call, code: int | None, http_status: int | None, message: str) -> RetryClass:
    """What to do about a failure of `call`: `code` as ONTAP gave it, or None; `http_status` None for failed jobs,
    failed transfers, and calls without a reply (then `code` is None too)."""
    if code == NOT_AUTHORIZED or http_status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return OPERATOR
    if code is not None:
        if code in BY_TEXT.get(call, ()):
            return _by_text(message)
        known = TABLE.get(call, {}).get(code)
        if known is not None:
            return known
    if code == ENTRY_MISSING or http_status == HTTPStatus.NOT_FOUND:
        return REDISCOVER
    if call is Call.READ or (code is None and http_status is None):
        return SOON
    if http_status == HTTPStatus.TOO_MANY_REQUESTS or (http_status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return SOON
    if TEXTS[0][0] in message.lower():
        return SOON
    # A code that isn't in the table: a request refused as such won't be taken the next time; anything else
    # (a conflict, a failed job or transfer) is about the state of things.
    return FINAL if http_status == HTTPStatus.BAD_REQUEST else REDISCOVER


def hint_for(retry: RetryClass, code: int | None, message: str) -> str:
    """What a person can do about a failure of this class; empty where nothing needs doing."""
    if code is not None and code in _HINTS:
        return _HINTS[code]
    if retry in (FINAL, OPERATOR):
        lowered = message.lower()
        for text, hint in _TEXT_HINTS:
            if text in lowered:
                return hint
    return _CLASS_HINTS[retry]


def _by_text(message: str) -> RetryClass:
    lowered = message.lower()
    return next((retry for text, retry in TEXTS if text in lowered), REDISCOVER)
