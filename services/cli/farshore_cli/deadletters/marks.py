"""Which letters were sent back: pure. One bit a record, so a month of letters costs little."""

from farshore.records.deadletters import Redriven


class Marks:
    """The offsets from `first` on whose letters have a mark."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._bits = bytearray()

    def add(self, mark: Redriven, at_offset: int) -> None:
        """Take in the mark that stands at `at_offset`; one that speaks of what isn't before it counts for nothing."""
        if not self._first <= mark.offset < at_offset:
            return
        place, bit = divmod(mark.offset - self._first, 8)
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 - len(self._bits)))
        self._bits[place] |= 1 << bit

    def __contains__(self, offset: int) -> bool:
        place, bit = divmod(offset - self._first, 8)
        return 0 <= place < len(self._bits) and bool(self._bits[place] >> bit & 1)
