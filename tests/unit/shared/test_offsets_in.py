"""Which committed positions of relationships count."""

from aiokafka.structs import OffsetAndMetadata

from farshore.bus.committed import offsets_in


def test_positions_of_another_incarnation_and_of_nobody_are_left_out() -> None:
    positions = {
        "ours": OffsetAndMetadata(7, "abc"),
        "set by a tool": OffsetAndMetadata(3, ""),
        "of a topic since deleted": OffsetAndMetadata(900, "xyz"),
        "never committed": None,
    }
    assert offsets_in("abc", positions) == {"ours": 7, "set by a tool": 3}
