"""How many transfers a cluster receives at once, and who is next when one ends."""

from collections import deque
from collections.abc import Callable, Mapping


class Slots:
    """Slots of every cluster, shared by all registries; waiters of one cluster are served first come, first served."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = dict(limits)
        self._holders: dict[str, set[str]] = {cluster: set() for cluster in limits}
        self._waiting: dict[str, deque[tuple[str, Callable[[], None]]]] = {cluster: deque() for cluster in limits}

    def take(self, cluster: str, relationship: str, when_free: Callable[[], None]) -> bool:
        """Take a slot, or be called once one may be free. Holding one already counts as taking it."""
        holders = self._holders[cluster]
        if relationship not in holders and len(holders) >= self._limits[cluster]:
            self._waiting[cluster].append((relationship, when_free))
            return False
        holders.add(relationship)
        return True

    def adopt(self, cluster: str, relationship: str) -> None:
        """Count a transfer that runs already, even beyond the limit."""
        self._holders[cluster].add(relationship)

    def release(self, cluster: str, relationship: str) -> None:
        """Give the slot back, if it is held, and call the next waiter."""
        self._holders[cluster].discard(relationship)
        if self._waiting[cluster] and len(self._holders[cluster]) < self._limits[cluster]:
            _, when_free = self._waiting[cluster].popleft()
            when_free()

    def forget(self, relationship: str) -> None:
        """The relationship is no longer this process's: give back what it holds or was called for, leave the queues."""
        for cluster, waiting in self._waiting.items():
            self._waiting[cluster] = deque(entry for entry in waiting if entry[0] != relationship)
            self.release(cluster, relationship)
