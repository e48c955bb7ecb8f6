"""Which snapshots an update carries, and which the destination gives up afterwards. Pure."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from farshore_ontap_simulator import errors
from farshore_ontap_simulator.errors import OntapError, refused
from farshore_ontap_simulator.model.records import Policy


@dataclass(frozen=True, slots=True)
class Offered:
    """A snapshot at the source, or at the destination, oldest first wherever there are several."""

    name: str
    version_uuid: str
    create_time: datetime
    comment: str = ""
    label: str = ""
    logical_bytes: int = 0


def common(source: Sequence[Offered], destination: Set[str]) -> Offered | None:
    """The newest snapshot of the source that the destination has too (by version uuid)."""
    return next((offered for offered in reversed(source) if offered.version_uuid in destination), None)


def check(
    source: Sequence[Offered], destination: Set[str], *, initialize: bool, requested: str | None, code: int
) -> None:
    """Raise OntapError where an update can't work: no common snapshot, or a snapshot that isn't there or is too old."""
    base = common(source, destination)
    if not initialize and base is None:
        raise refused(code, "No common snapshot found between the source and the destination volume.")
    if requested is None:
        return
    names = [offered.name for offered in source]
    if requested not in names:
        raise refused(code, f'Snapshot "{requested}" does not exist on the source volume.')
    if base is not None and names.index(requested) < source.index(base):
        raise refused(code, f'Snapshot "{requested}" is older than the base snapshot "{base.name}".')


def select(policy: Policy, source: Sequence[Offered], destination: Set[str], requested: str | None) -> list[Offered]:
    """The snapshots to transfer, oldest first; the last one is what the destination exports afterwards.

    `requested` (a name) is sent alone. Otherwise the newest of the source, and by policy those between it and the
    common one. Raises OntapError if the source has nothing to send.
    """
    if requested is not None:
        return [offered for offered in source if offered.name == requested]
    if not source:
        raise OntapError(errors.UPDATE_FAILED, "The source volume has no snapshot to transfer.")
    newest = source[-1]
    if policy.copy_all_source_snapshots:
        base = common(source, destination)
        newer = source[source.index(base) + 1 :] if base is not None else source
        return [*newer] or [newest]
    labels = {rule.label for rule in policy.retention}
    labelled = [
        offered for offered in source[:-1] if offered.label in labels and offered.version_uuid not in destination
    ]
    return [*labelled, newest]


def retire(policy: Policy, destination: Sequence[Offered], source: Set[str], exported: str) -> list[Offered]:
    """What the destination deletes after an update that made `exported` (a version uuid) its view.

    A policy that copies all snapshots follows the source's deletions; one that copies the latest keeps the exported
    one; one with retention keeps so many of each label.
    """
    rest = [offered for offered in destination if offered.version_uuid != exported]
    if policy.copy_all_source_snapshots:
        return [offered for offered in rest if offered.version_uuid not in source]
    keep: set[str] = set()
    for rule in policy.retention:
        labelled = [offered for offered in rest if offered.label == rule.label]
        keep.update(offered.version_uuid for offered in labelled[max(0, len(labelled) - rule.count) :])
    return [offered for offered in rest if offered.version_uuid not in keep]
