"""The topics that Kafka keeps for itself, and which of their partitions a name is on: its leader is the coordinator."""

CONSUMER_OFFSETS = "__consumer_offsets"
"""The positions of consumer groups."""
TRANSACTION_STATE = "__transaction_state"
"""How far each transactional id's transaction is."""


def coordinating_partition(name: str, partitions: int) -> int:
    """Java's hash of a group or transactional id without its sign; the name is ASCII.

    Source: Kafka, `partitionFor` of GroupCoordinatorService and of TransactionStateManager.
    """
    code = 0
    for letter in name.encode():
        code = (31 * code + letter) & 0xFFFFFFFF
    signed = code - (1 << 32) if code >= 1 << 31 else code
    return (0 if signed == -(1 << 31) else abs(signed)) % partitions
