"""Numbers of variable length, as Kafka's newer records have them (KIP-482)."""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned varint at `at`, and what follows it."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
