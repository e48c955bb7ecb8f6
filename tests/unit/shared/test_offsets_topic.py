"""Which partition of Kafka's topic of positions a group is on."""

import pytest

from farshore.bus.offsets_topic import offsets_partition


@pytest.mark.parametrize(
    ("group", "java_hash"),
    [("", 0), ("hello", 99162322), ("polygenelubricants", -(2**31)), ("Hello World", -862545276)],
)
def test_it_is_javas_hash_of_the_name_without_its_sign(group: str, java_hash: int) -> None:
    unsigned = 0 if java_hash == -(2**31) else abs(java_hash)
    assert offsets_partition(group, 50) == unsigned % 50
    assert offsets_partition(group, 2**31) == unsigned
