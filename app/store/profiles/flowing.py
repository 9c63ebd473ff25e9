"""Reading profiles for a flow: the sections that it wants, and large summaries without decoding them."""

from dataclasses import dataclass, field
from typing import Final

import msgspec
from sqlalchemy import Connection

from app.domain.profile import EVENTS, PURCHASES, SECTION_NAMES, Profile
from app.store.profiles.look_up import COLUMNS, FIRST_SECTION, TooLargeError, documents, places, stored
from app.store.profiles.queries import Query
from app.store.profiles.summaries import LEAST, Summaries

_decode = msgspec.json.decode

#: Profiles by [pid, bit mask of sections]. In place of a document that is larger than `largest` comes its length.
_PROFILES = Query(
    "profile",
    COLUMNS,
    "t.pid = {0}",
    numbers=(0, 1),
    documents=documents("", "case when {length} <= :largest then s.doc else cast({length} as text) end"),
)
_SUMMARIES: Final = {SECTION_NAMES[section] for section in (EVENTS, PURCHASES)}


@dataclass(slots=True)
class Fetched:
    """Profiles that were read, each with the sections that were wanted of it."""

    profiles: list[Profile] = field(default_factory=list)
    #: Bytes of JSON of these sections, by number of profile: of those that were decoded, and of those that were not.
    decoded: dict[int, int] = field(default_factory=dict)
    texts: dict[int, int] = field(default_factory=dict)

    def enter(self, profile: Profile, name: str, doc: str | None) -> int:
        """Give the profile a section, which is empty where there is no document. Returns the bytes of that."""
        if doc is None:
            setattr(profile, name, {})
            return 0
        length = len(doc) if doc.isascii() else len(doc.encode())
        is_text = name in _SUMMARIES and length >= LEAST
        setattr(profile, name, Summaries(doc.encode()) if is_text else _decode(doc))
        lengths = self.texts if is_text else self.decoded
        lengths[profile.pid] = lengths.get(profile.pid, 0) + length
        return length


def fetch(connection: Connection, workspace_id: int, sections: dict[int, int], most: int) -> Fetched:
    """Profiles by number, each with the sections of its bit mask; a section without a row is empty.

    Raises TooLargeError when the sections have more than `most` bytes together, or when the size of a profile was never
    counted: an earlier version wrote it.
    """
    found = Fetched()
    largest = most // max(1, sum(mask.bit_count() for mask in sections.values()))
    rows = _PROFILES.run(connection, workspace_id, sorted(sections.items()), largest=largest)
    left = most
    large: dict[int, int] = {}
    for row in rows:
        profile = Profile(*row[1:FIRST_SECTION])
        if not profile.size:
            raise TooLargeError({})
        found.profiles.append(profile)
        for section, name, column in places(sections[profile.pid]):
            doc = row[column]
            if doc is None or doc[0] == "{":
                left -= found.enter(profile, name, doc)
            else:
                left -= int(doc)
                large[profile.pid] = large.get(profile.pid, 0) | section
    if left < 0:
        raise TooLargeError({})
    if large:
        profiles = {profile.pid: profile for profile in found.profiles}
        for row in stored(connection, workspace_id, large):
            for _, name, column in places(large[row[1]]):
                found.enter(profiles[row[1]], name, row[column])
    return found
