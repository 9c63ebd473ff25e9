"""Reading profiles: who has an identifier, profiles by number, and consent of addresses."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, text

from app.domain.identifiers import ChannelAddress
from app.domain.profile import (
    ALIAS,
    BRAZE,
    CORE,
    CUSTOM,
    DEPRECATED,
    DEVICE,
    EMAIL,
    EXTERNAL,
    PHONE,
    SECTION_NAMES,
    TOKEN,
    Address,
    AddressState,
    Identifier,
    Profile,
)
from app.store.profiles.queries import PARTS, ROW_FIELDS, Query

_decode = msgspec.json.decode

#: Kinds that are listed in the table `identifier`, and of which one profile has a value.
_ONE: Final = (EXTERNAL, ALIAS, TOKEN, DEVICE)

COLUMNS: Final = ", ".join(f"t.{name}" for name in ROW_FIELDS)
#: Where the sections begin in a row: behind the number of the question, and the profile's own fields.
FIRST_SECTION: Final = 1 + len(ROW_FIELDS)
_FIND = Query("identifier", "t.pid", "t.kind = {0} and t.label = {1} and t.value = {2}", numbers=(0,), documents=())
#: Of the holders of each key only some, `most`.
_FIND_SOME = Query("identifier", "t.pid", "t.kind = {0} and t.label = {1} and t.value = {2}", numbers=(0,), some="pid")
_FIND_BRAZE = Query("profile", "t.pid", "t.braze_id = {one}")
#: Where each section lies, and what else its row has to match.
_SECTION_ROWS: Final = {
    CORE: ("profile_core", ""),
    CUSTOM: ("profile_custom", ""),
    **{part: ("profile_part", f" and s.part = {part}") for part in PARTS},
}


def documents(condition: str, doc: str = "s.doc") -> list[str]:
    """Columns of the sections of the bit mask {1}, where the condition holds. `doc`: of each row, by SQL."""
    return [
        f"case when {condition}{{1}} & {section} <> 0 then (select {doc} from {table} s"
        f" where s.workspace_id = :workspace_id and s.pid = t.pid{extra}) end"
        for section, (table, extra) in _SECTION_ROWS.items()
    ]


#: Profiles by [pid, bit mask of sections].
_PROFILES = Query("profile", ", ".join([COLUMNS, *documents("")]), "t.pid = {0}", numbers=(0, 1))
#: The same, where sections are read only of those that are not large.
_SMALL_PROFILES = Query(
    "profile", COLUMNS, "t.pid = {0}", numbers=(0, 1), documents=documents("t.size between 1 and :largest and ")
)
_ADDRESSES = Query(
    "address_state",
    "t.channel, t.address, t.group_id, t.state, t.changed_us, t.forget_us",
    "t.channel = {0} and t.address = {1}",
    numbers=(0,),
    documents=(),
)


_CONSENTS = text(
    "select group_id, state, changed_us from address_state"
    " where workspace_id = :workspace_id and channel = :channel and address = :address order by group_id limit :limit"
)


def find(
    connection: Connection, workspace_id: int, keys: Iterable[Identifier], most: int | None = None
) -> dict[Identifier, set[int]]:
    """Who has which of the identifiers; every asked key is in the result.

    `most` bounds the holders of an e-mail address or a phone number that are found.
    """
    index: dict[Identifier, set[int]] = {key: set() for key in keys}
    unique = [key for key in index if key[0] in _ONE or (most is None and key[0] in (EMAIL, PHONE))]
    _find_listed(connection, workspace_id, index, unique)
    if most is not None:
        shared = [key for key in index if key[0] in (EMAIL, PHONE)]
        if shared:
            for n, pid in _FIND_SOME.run(connection, workspace_id, shared, most=most):
                index[shared[n]].add(pid)
    # A former external id counts only where nobody has it as the present one, so few have to be looked for.
    former = [key for key in index if key[0] == DEPRECATED and not index.get((EXTERNAL, "", key[2]))]
    _find_listed(connection, workspace_id, index, former)
    braze_ids = [key[2] for key in index if key[0] == BRAZE]
    if braze_ids:
        for n, pid in _FIND_BRAZE.run(connection, workspace_id, braze_ids):
            index[BRAZE, "", braze_ids[n]].add(pid)
    return index


def _find_listed(
    connection: Connection, workspace_id: int, index: dict[Identifier, set[int]], keys: list[Identifier]
) -> None:
    if keys:
        for n, pid in _FIND.run(connection, workspace_id, keys):
            index[keys[n]].add(pid)


def fetch(
    connection: Connection, workspace_id: int, sections: dict[int, int], largest: int | None = None
) -> list[Profile]:
    """Profiles by number, each with the sections of its bit mask; a section without a row is empty.

    With `largest`, profiles of more bytes come without sections, and so do those whose size was never counted.
    """
    if largest is None or not sections:
        return decoded(stored(connection, workspace_id, sections), sections)
    rows = _SMALL_PROFILES.run(connection, workspace_id, sorted(sections.items()), largest=largest)
    return decoded(rows, sections, largest)


class TooLargeError(Exception):
    """Profiles are larger together than may be loaded at once. None of them is."""

    def __init__(self, weights: dict[int, int]) -> None:
        super().__init__("more than may be loaded at once")
        #: Of each profile, in bytes.
        self.weights = weights


def fetch_together(
    connection: Connection, workspace_id: int, sections: dict[int, int], most: int, counted: Callable[[int], int]
) -> list[Profile]:
    """As `fetch`: first the small ones, which fit `most` bytes in any case, and then the others, if all fit together.

    `counted` tells the size of a profile that an earlier version wrote. Raises TooLargeError.
    """
    small = most // max(1, len(sections))
    profiles = {profile.pid: profile for profile in fetch(connection, workspace_id, sections, small)}
    large = [profile for profile in profiles.values() if not 0 < profile.size <= small]
    if large:
        weights = {pid: profile.size or counted(pid) for pid, profile in profiles.items()}
        if sum(weights.values()) > most:
            raise TooLargeError(weights)
        for profile in fetch(connection, workspace_id, {one.pid: sections[one.pid] for one in large}):
            profile.size = weights[profile.pid]
            profiles[profile.pid] = profile
    return list(profiles.values())


def stored(connection: Connection, workspace_id: int, sections: dict[int, int]) -> list[Sequence[Any]]:
    """Rows for `decoded`."""
    return list(_PROFILES.run(connection, workspace_id, sorted(sections.items()))) if sections else []


def size_of(rows: Iterable[Sequence[Any]]) -> int:
    """Bytes of the sections in these rows. Decoded they take some five times as much."""
    return sum(len(doc) for row in rows for doc in row[FIRST_SECTION:] if doc is not None)


def decoded(rows: Iterable[Sequence[Any]], sections: dict[int, int], largest: int | None = None) -> list[Profile]:
    profiles = []
    for row in rows:
        profile = Profile(*row[1:FIRST_SECTION])
        if largest is None or 0 < profile.size <= largest:
            for _, name, column in places(sections[profile.pid]):
                doc = row[column]
                setattr(profile, name, {} if doc is None else _decode(doc))
        profiles.append(profile)
    return profiles


@lru_cache(maxsize=256)
def places(sections: int) -> tuple[tuple[int, str, int], ...]:
    """(section, its name, its place in a row) of each section of a bit mask."""
    names = enumerate(SECTION_NAMES.items(), FIRST_SECTION)
    return tuple((section, name, column) for column, (section, name) in names if sections & section)


def fetch_addresses(
    connection: Connection, workspace_id: int, addresses: Iterable[ChannelAddress]
) -> dict[Address, AddressState | None]:
    """All that is recorded of addresses; the global topic of each is there, None where nothing was recorded of it."""
    wanted = list(addresses)
    states: dict[Address, AddressState | None] = {(channel, address, ""): None for channel, address in wanted}
    for _, channel, address, topic, *state in _ADDRESSES.run(connection, workspace_id, wanted):
        states[channel, address, topic] = AddressState(*state)
    return states


def fetch_consents(
    connection: Connection, workspace_id: int, channel: int, address: str, limit: int
) -> list[tuple[Address, AddressState]]:
    """All recorded consent of an address, that of the channel first, then of at most so many subscription groups."""
    values = {"workspace_id": workspace_id, "channel": channel, "address": address, "limit": limit}
    return [
        ((channel, address, group_id), AddressState(state, changed_us))
        for group_id, state, changed_us in connection.execute(_CONSENTS, values)
    ]
