"""Takes the end of a transaction from Kafka's log of positions, as Kafka 4.4 sometimes does when it is killed."""

import struct
from pathlib import Path

from farshore.bus.internal_topics import CONSUMER_OFFSETS, coordinating_partition

_CONTROL = 0x20  # the bit in a batch's attributes (KIP-98)


def lose_last_marker(data_dir: Path, group: str) -> None:
    """Cut the last batch from the log that `group`'s position is in; it has to be a transaction's marker.

    `data_dir` is the broker's, which has to be dead.
    """
    partitions = len(list((data_dir / "log").glob(f"{CONSUMER_OFFSETS}-*")))
    number = coordinating_partition(group, partitions)
    segment = max((data_dir / "log" / f"{CONSUMER_OFFSETS}-{number}").glob("*.log"))
    data = segment.read_bytes()
    at = last = 0
    while at < len(data):
        last, at = at, at + 12 + struct.unpack_from(">i", data, at + 8)[0]
    assert struct.unpack_from(">h", data, last + 21)[0] & _CONTROL, "the last batch is no marker"
    segment.write_bytes(data[:last])
