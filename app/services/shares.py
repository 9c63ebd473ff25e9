"""Sharing what an API process has of something: places, threads, memory. Whoever takes much leaves room for others."""

from collections.abc import Hashable


class Shares:
    """Counts what owners have of a total.

    An owner may have at most half of what all others leave, or `most` where that is less. So one owner never takes
    everything, nor do two, and a newcomer finds something; a single owner has half of the total.
    """

    def __init__(self, total: int, most: int | None = None) -> None:
        self.total = total
        self._most = total if most is None else most
        self._by_owner: dict[Hashable, int] = {}
        self.taken = 0

    def fits(self, owner: Hashable, amount: int = 1) -> bool:
        """Whether the owner may have so much more. The first thing of an owner needs only to be there."""
        mine = self._by_owner.get(owner, 0)
        left = self.total - self.taken
        if amount > left:
            return False
        return mine == 0 or mine + amount <= min(self._most, (left + mine) // 2)

    def take(self, owner: Hashable, amount: int = 1) -> bool:
        """Take so much more, if it fits."""
        if not self.fits(owner, amount):
            return False
        self._by_owner[owner] = self._by_owner.get(owner, 0) + amount
        self.taken += amount
        return True

    def give(self, owner: Hashable, amount: int = 1) -> None:
        """Give back what was taken."""
        self.taken -= amount
        rest = self._by_owner.get(owner, 0) - amount
        if rest:
            self._by_owner[owner] = rest
        else:
            self._by_owner.pop(owner, None)
