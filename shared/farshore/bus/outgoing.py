"""A record that is to be written."""

from dataclasses import dataclass

from farshore.records.cloudevent import Headers


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """One record to be written; `partition_by`, or where that is None `key`, decides the partition."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers
    partition_by: bytes | None = None
