"""What one request may cost: a count of steps, the same wherever and whenever the request is applied.

A request of a few kilobytes can ask for hours: `$update` in a large array, a thousand times. Time cannot bound that,
since a redo or a replay on another machine would stop elsewhere; so what is done is counted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from app.domain import sizes
from app.domain.profile import Profile
from app.domain.values import size

#: Steps of one request. A step takes about 100 ns: something looked at, or some bytes measured.
MAX_WORK: Final = 10_000_000
#: Bytes that are measured in one step.
BYTES_PER_STEP: Final = 16


#: Bytes of a value that is not to be measured twice.
_LARGE: Final = 1_024


class TooMuchWorkError(Exception):
    """The request has used up its steps; nothing was changed by what raised this."""


@dataclass(slots=True)
class Draft:
    """An object or array that the request in hand made, and that belongs to nobody else yet."""

    value: Any
    #: Bytes as compact JSON.
    size: int


class Work:
    """The steps that a request has left, and its drafts, so that nothing is measured twice."""

    __slots__ = ("_away", "_drafts", "_loaded", "_measured", "left", "room")

    def __init__(self, steps: int = MAX_WORK) -> None:
        self.left = steps
        #: Bytes by which the object that is merged into next may grow (app.domain.sizes).
        self.room: float = inf
        self._drafts: dict[int, Draft] = {}
        #: The last large value that was measured, and its size.
        self._measured: tuple[object, int] = (None, 0)
        #: Of profiles that are not in memory: {pid: {name of an attribute that is a draft: its size}}.
        self._away: dict[int, dict[str, int]] = {}
        #: Profiles that were taken up and not put away yet.
        self._loaded: set[int] = set()

    def spend(self, steps: int) -> None:
        """Count steps before they are made. Raises TooMuchWorkError when they are too many; none is left then."""
        if steps > self.left:
            self.left = 0
            raise TooMuchWorkError
        self.left -= steps

    def measured(self, value: object) -> int:
        """Bytes of a stored value. Raises TooMuchWorkError."""
        draft = self._drafts.get(id(value))
        if draft is not None:
            return draft.size
        self.spend(1)  # nothing is measured for a request that has no steps left
        found = size(value)
        self.spend(found // BYTES_PER_STEP)
        if found >= _LARGE:
            self._measured = (value, found)
        return found

    def size_of(self, value: object) -> int:
        """Bytes of a custom attribute, as app.domain.sizes counts them. Takes no steps."""
        if not isinstance(value, (list, dict)):
            return sizes.of_attribute(value)
        draft = self._drafts.get(id(value))
        if draft is not None:
            return draft.size
        measured, found = self._measured
        return found if measured is value else size(value)

    def draft(self, value: object) -> Draft | None:
        """The draft that is this very value."""
        return self._drafts.get(id(value))

    def put_away(self, profiles: Mapping[int, Profile], changed: Iterable[int]) -> None:
        """Profiles go out of memory in the middle of a request: remember which of their attributes are drafts. So the
        request costs the same however many of its profiles are in memory at once.

        `changed`: numbers of those that it may have changed. There may be many others, which it has nothing to do with.
        """
        for pid in self._loaded:
            self._away.pop(pid, None)
        for pid in sorted(self._loaded.union(changed)):
            profile = profiles.get(pid)
            if profile is None:
                continue
            sizes_of = {
                name: draft.size
                for name, value in (profile.custom or {}).items()
                if (draft := self._drafts.get(id(value))) is not None
            }
            if sizes_of:
                self._away[pid] = sizes_of
        self._drafts.clear()
        self._measured = (None, 0)

    def take_up(self, profiles: Iterable[Profile]) -> None:
        """Profiles are in memory again, or for the first time; nobody else has their values."""
        self._drafts.clear()
        self._measured = (None, 0)
        self._loaded.clear()
        for profile in profiles:
            if profile.custom is None:
                continue
            self._loaded.add(profile.pid)
            for name, found in self._away.get(profile.pid, {}).items():
                if name in profile.custom:
                    self.keep(profile.custom[name], found)

    def away(self) -> dict[int, dict[str, int]]:
        """Drafts of the profiles that are not in memory: {pid: {name of an attribute: its size}}."""
        return dict(self._away)

    def go_back(self, left: int, away: dict[int, dict[str, int]]) -> None:
        """Be as it was when so many steps were left, and `away` said so. `take_up` comes next."""
        self.left, self._away = left, dict(away)

    def keep(self, value: object, found: int, instead_of: object = None) -> Draft:
        """Remember a new value of the request with its size. Another one, which it replaces, is forgotten."""
        self._drafts.pop(id(instead_of), None)
        draft = Draft(value, found)
        self._drafts[id(value)] = draft  # the draft holds its value, so nothing else can get the same id
        return draft
