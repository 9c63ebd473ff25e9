"""Reading profiles for a flow: the sections that it wants, and large summaries without decoding them."""

from dataclasses import dataclass
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
    """A profile that was read, with the sections that were wanted of it."""

    profile: Profile
    #: Bytes of JSON of these sections: of those that were decoded, and of those that were not.
    decoded: int = 0
    text: int = 0

    def enter(self, name: str, doc: str) -> int:
        """Give the profile a section. Returns the bytes of its document."""
        length = len(doc) if doc.isascii() else len(doc.encode())
        if length >= LEAST and name in _SUMMARIES:
            setattr(self.profile, name, Summaries(doc.encode()))
            self.text += length
        else:
            setattr(self.profile, name, _decode(doc))
            self.decoded += length
        return length


def fetch(connection: Connection, workspace_id: int, sections: dict[int, int], most: int) -> list[Fetched]:
    """Profiles by number, each with the sections of its bit mask; a section without a row is empty.

    Raises TooLargeError when the sections have more than `most` bytes together, or when the size of a profile was never
    counted: an earlier version wrote it.
    """
    found: list[Fetched] = []
    largest = most // max(1, sum(mask.bit_count() for mask in sections.values()))
    rows = _PROFILES.run(connection, workspace_id, sorted(sections.items()), largest=largest)
    left = most
    large: dict[int, int] = {}
    for row in rows:
        profile = Profile(*row[1:FIRST_SECTION])
        if not profile.size:
            raise TooLargeError({})
        one = Fetched(profile)
        found.append(one)
        for section, name, column in places(sections[profile.pid]):
            doc = row[column]
            if doc is None:
                setattr(profile, name, {})
            elif doc[0] == "{":
                left -= one.enter(name, doc)
            else:
                left -= int(doc)
                large[profile.pid] = large.get(profile.pid, 0) | section
    if left < 0:
        raise TooLargeError({})
    if large:
        by_number = {one.profile.pid: one for one in found}
        for row in stored(connection, workspace_id, large):
            for _, name, column in places(large[row[1]]):
                by_number[row[1]].enter(name, row[column] or "{}")
    return found
