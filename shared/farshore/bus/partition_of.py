"""Which partition Kafka's default partitioner, which all of farshore's writers use, gives a key."""

from collections.abc import Iterable

from aiokafka.partitioner import DefaultPartitioner

_CHOSEN = DefaultPartitioner()


def partition_of(key: bytes, numbers: Iterable[int]) -> int:
    """The partition of records with `key` in a topic with the partitions `numbers`. Remember it: Python hashes it."""
    ordered = sorted(numbers)
    return int(_CHOSEN(key, ordered, ordered))
