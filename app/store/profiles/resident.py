"""Profiles of one workspace that stay in memory between batches, with who has their identifiers.

Only the holder of the lane writes profiles. So what it loaded, and changed since, is right for as long as nobody else
has held the lane meanwhile, and the database has lost nothing: workers/flow.py sees to that.

Reading for a batch may happen beside the writing of the ones before it. What these changed is here and wins over what
was read; what they did not change is the same before and after them.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from app.domain.identifiers import ChannelAddress
from app.domain.profile import ALL_SECTIONS, BRAZE, CUSTOM, DEPRECATED, EXTERNAL, Identifier, Profile
from app.domain.state import State
from app.store.profiles.flowing import Fetched, fetch
from app.store.profiles.known import Known, seldom
from app.store.profiles.look_up import find, places
from app.store.profiles.summaries import Summaries

#: Bytes of memory that a profile takes: for each byte of app.domain.sizes, and beside them, with all that is known of
#: it here. What is measured is between half of it and all of it: tests/workers/test_resident.py.
WEIGHT: Final = 4
FRAME: Final = 2_000
#: A byte of JSON that was read counts as up to so many of app.domain.sizes, where all numbers have 16.
COUNTED: Final = 2
#: And, further, for each value inside an array or object: an empty object is three bytes of JSON, and 64 of memory.
NESTED: Final = 80
#: Bytes of memory that an identifier takes, also one that nobody has.
ENTRY: Final = 400
#: And what is known of the consent of an address, of each topic.
ADDRESS: Final = 560
#: Consent may take this part of the memory, or so many bytes. Where it takes more, all of it is forgotten.
ADDRESSES_SHARE: Final = 4
LEAST_OF_ADDRESSES: Final = 500_000
#: Batches of which everything stays: that in hand, the one that is being written, and the one before, whose commit may
#: be younger than what was read for the one in hand.
_BATCHES: Final = 3
#: What part is forgotten at once.
_EVICTED: Final = 8
#: Bytes of memory of what is remembered of a workspace without any profile.
_EMPTY: Final = 10_000


@dataclass(slots=True)
class Read:
    """What was read for a batch."""

    index: dict[Identifier, set[int]] = field(default_factory=dict)
    fetched: list[Fetched] = field(default_factory=list)
    #: Which sections of the profiles, as a bit mask by number.
    sections: dict[int, int] = field(default_factory=dict)


class Resident:
    """What a worker remembers of a workspace. One thread uses it; another may call `read`."""

    def __init__(self) -> None:
        self.state = State()
        #: As Lane.place and Lane.epoch, once the last batch that is in it is committed.
        self.place: list[int] = []
        #: What is known of each profile that is here, by its number. Those that were not used for longest come first.
        self.known: dict[int, Known] = {}
        #: Bytes of memory that the profiles take, about: of those that are not waiting to be weighed.
        self._weight = 0
        self._unweighed: set[int] = set()
        #: The number of the batch in hand.
        self._batch = 0
        #: Identifiers that each of the last batches used.
        self._asked: deque[dict[Identifier, int]] = deque(maxlen=_BATCHES)

    @property
    def size(self) -> int:
        """Bytes of memory that all of it takes, about: rather less than more."""
        self._weigh()
        return _EMPTY + self._weight + ENTRY * len(self.state.index) + ADDRESS * len(self.state.addresses)

    def read(self, connection: Connection, workspace_id: int, wanted: dict[Identifier, int], most: int) -> Read:
        """What a batch wants (app.domain.loading.plain_needs) and is not here, as it is stored at one instant.

        What is here stays for that batch. Raises TooLargeError.
        """
        index, here, batch = self.state.index, self.known, self._batch + 1
        unknown = [identifier for identifier in wanted if identifier not in index]
        found = find(connection, workspace_id, unknown) if unknown else {}
        former = [(DEPRECATED, "", one[2]) for one, pids in found.items() if one[0] == EXTERNAL and not pids]
        if former:
            found |= find(connection, workspace_id, former)
        sections: dict[int, int] = {}
        for identifier, mask in wanted.items():
            pids = found.get(identifier) or index.get(identifier)
            if not pids and identifier[0] == EXTERNAL:
                formerly = (DEPRECATED, "", identifier[2])
                pids = found.get(formerly) or index.get(formerly)
            for pid in pids or ():
                known = here.get(pid)
                if known is None:
                    sections[pid] = sections.get(pid, 0) | mask
                    continue
                known.used = batch
                if lacks := mask & ~known.sections:
                    sections[pid] = sections.get(pid, 0) | lacks
        if not sections:
            return Read(found)
        return Read(found, fetch(connection, workspace_id, sections, most), sections)

    def take(self, read: Read) -> None:
        """Enter what was read, but for what is here already."""
        index, profiles = self.state.index, self.state.profiles
        for identifier, pids in read.index.items():
            if pids or identifier[0] != DEPRECATED or not index.get((EXTERNAL, "", identifier[2])):
                index.setdefault(identifier, pids)  # a present one comes first in what was read
        here, batch = self.known, self._batch
        for fetched in read.fetched:
            profile = fetched.profile
            pid, sections = profile.pid, read.sections[profile.pid]
            known = here.get(pid)
            if known is None:
                known = here[pid] = Known(seldom(profile), sections, profile.size, used=batch)
                profiles[pid] = profile
            else:
                resident = profiles[pid]
                for _, name, _ in places(sections & ~known.sections):
                    setattr(resident, name, getattr(profile, name))
                known.sections |= sections
                if sections & CUSTOM:
                    known.inside = None
            known.elsewhere = max(0, known.elsewhere - COUNTED * fetched.decoded - fetched.text)
            self._unweighed.add(pid)

    def use(self, wanted: dict[Identifier, int]) -> list[int] | None:
        """Begin a batch. Numbers of the profiles that it wants; None when not all of them are here."""
        index, here = self.state.index, self.known
        used: dict[int, Known] = {}
        for identifier, mask in wanted.items():
            pids = index.get(identifier)
            if not pids:
                if pids is None:
                    return None
                if identifier[0] == EXTERNAL:
                    pids = index.get((DEPRECATED, "", identifier[2]))
                    if pids is None:
                        return None
            for pid in pids:
                known = here.get(pid)
                if known is None or mask & ~known.sections:
                    return None
                used[pid] = known
        self._batch += 1
        for pid, known in used.items():
            known.used = self._batch
            del here[pid]
        here.update(used)
        self._asked.append(wanted)
        self.state.begin_batch()
        return list(used)

    def unknown(self, addresses: set[ChannelAddress]) -> list[ChannelAddress]:
        """Those of which it is not here what is recorded of them."""
        return [address for address in addresses if not self.state.knows(*address)]

    def is_full(self, most: int) -> bool:
        """Whether no further addresses should come in, where all may take so many bytes."""
        return ADDRESS * len(self.state.addresses) > max(most // ADDRESSES_SHARE, LEAST_OF_ADDRESSES)

    def applied(self) -> None:
        """A batch was applied to what is here."""
        state = self.state
        for pid in state.changes.created:
            profile = state.profiles[pid]
            self.known[pid] = Known(seldom(profile), ALL_SECTIONS, used=self._batch)
            state.index[BRAZE, "", profile.braze_id] = {pid}
        self._unweighed.update(state.changes.sections)

    def evict(self, most: int) -> None:
        """Once there are more than so many bytes, forget a part: what was not used for longest, and not by the last
        batches."""
        size = self.size
        if size <= most:
            return
        least = most - most // _EVICTED
        state = self.state
        if len(state.index) > 2 * len(state.profiles):  # many lead to nobody
            self._forget_identifiers()
            size = self.size
        # An identifier or more go with each profile.
        each = ENTRY * len(state.index) // max(1, len(state.profiles))
        first = self._batch - _BATCHES + 1  # of the batches of which all stays
        gone: list[int] = []
        for pid, known in self.known.items():
            if size <= least:
                break
            if known.used < first:
                gone.append(pid)
                size -= known.weight + each
        for pid in gone:
            profile = self._drop(pid)
            if profile is not None:
                state.index.pop((EXTERNAL, "", profile.external_id or ""), None)

    def _drop(self, pid: int) -> Profile | None:
        """Forget a profile, if it is here. Returns it."""
        known, profile = self.known.pop(pid, None), self.state.profiles.pop(pid, None)
        if known is not None:
            self._weight -= known.weight
        if profile is not None:
            self.state.index.pop((BRAZE, "", profile.braze_id), None)
        return profile

    def _forget_identifiers(self) -> None:
        """Those that lead to nobody here, and that no batch of the last ones asked for."""
        index, leads_nowhere = self.state.index, self.state.profiles.keys().isdisjoint
        gone = [identifier for identifier, pids in index.items() if leads_nowhere(pids)]
        if not gone:
            return
        asked = set().union(*self._asked)
        asked |= {(DEPRECATED, "", identifier[2]) for identifier in asked if identifier[0] == EXTERNAL}
        for identifier in gone:
            if identifier not in asked:
                del index[identifier]

    def _weigh(self) -> None:
        """Weigh what came in or was changed. Once for both: a batch changes nearly all that it brings in."""
        here, profiles, grown = self.known, self.state.profiles, 0
        for pid in self._unweighed:
            known = here.get(pid)
            if known is None:
                continue
            profile = profiles[pid]
            weight = FRAME + WEIGHT * max(0, profile.size - known.elsewhere)
            for summaries in (profile.events, profile.purchases):
                if summaries.__class__ is Summaries:
                    weight -= (WEIGHT - 1) * summaries.text_bytes
            if known.inside is None:  # nothing was written of it
                known.inside = sum(map(_inside, (profile.custom or {}).values()))
            weight += NESTED * known.inside
            grown += weight - known.weight
            known.weight = weight
        self._weight += grown
        self._unweighed.clear()

    def forget(self, other: State) -> None:
        """Forget what was saved from another state, which was loaded for itself."""
        changes, index = other.changes, self.state.index
        for pid in (*changes.sections, *changes.removed, *changes.erased):
            self._drop(pid)
        for identifier, _ in (*changes.identifiers_added, *changes.identifiers_dropped):
            index.pop(identifier, None)
            if identifier[0] in _EXTERNAL:  # whether one counts depends on the other
                for kind in _EXTERNAL:
                    index.pop((kind, "", identifier[2]), None)
        for pid in changes.created:
            index.pop((BRAZE, "", other.profiles[pid].braze_id), None)
        if changes.addresses or changes.forgotten:
            self.state.forget_addresses()


_EXTERNAL: Final = (EXTERNAL, DEPRECATED)


def _inside(value: object) -> int:
    """How many values an array or object has inside, at any depth."""
    if isinstance(value, dict):
        return len(value) + sum(map(_inside, value.values()))
    return len(value) + sum(map(_inside, value)) if isinstance(value, list) else 0
