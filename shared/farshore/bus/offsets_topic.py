"""Which partition of Kafka's own topic of positions a consumer group's are on: who leads it is their coordinator."""

CONSUMER_OFFSETS = "__consumer_offsets"


def offsets_partition(group: str, partitions: int) -> int:
    """Java's hash of the name without its sign (Kafka, GroupCoordinatorService.partitionFor); the name is ASCII."""
    code = 0
    for letter in group.encode():
        code = (31 * code + letter) & 0xFFFFFFFF
    signed = code - (1 << 32) if code >= 1 << 31 else code
    return (0 if signed == -(1 << 31) else abs(signed)) % partitions
