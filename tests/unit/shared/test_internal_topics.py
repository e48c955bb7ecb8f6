"""Which partition of Kafka's own topics a group or a transactional id is on."""

import pytest

from farshore.bus.internal_topics import coordinating_partition


@pytest.mark.parametrize(
    ("name", "java_hash"),
    [("", 0), ("hello", 99162322), ("polygenelubricants", -(2**31)), ("Hello World", -862545276)],
)
def test_it_is_javas_hash_of_the_name_without_its_sign(name: str, java_hash: int) -> None:
    unsigned = 0 if java_hash == -(2**31) else abs(java_hash)
    assert coordinating_partition(name, 50) == unsigned % 50
    assert coordinating_partition(name, 2**31) == unsigned
