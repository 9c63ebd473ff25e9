"""A whole workspace at one instant, a row at a time: what is written into files, or given to another Onefold."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import starmap
from typing import Final

from sqlalchemy import Connection

from app.contract import portable
from app.contract.exported import sections_of
from app.domain.identifiers import ChannelAddress, addresses_of
from app.domain.profile import NAME_EVENT, NAME_PRODUCT, Address, AddressState, Profile
from app.domain.segments.model import Definition
from app.services.caller import Caller
from app.store import everything
from app.store.engine import Database
from app.store.profiles import holders, look_up
from app.store.segments import run as segments

#: Profiles whose numbers are looked for at once; a segment is evaluated anew for each such page.
PAGE: Final = 10_000
#: What is in memory at once: so many profiles, and so many bytes of them; one that is larger is read alone.
PORTION: Final = 250
PORTION_BYTES: Final = 4 * 1024 * 1024

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be read."""

    #: One of portable.CONTENTS.
    content: str
    #: Of users: no others than those in the segment; None = all.
    segment: Definition | None = None
    #: Of users: no other fields; None = everything.
    fields: frozenset[str] | None = None


@contextmanager
def reading(
    database: Database, caller: Caller, wanted: Wanted, now_us: int
) -> Iterator[tuple[int | None, Iterator[Row]]]:
    """(how many rows, None where nobody counted them; the rows). All of them are of one instant.

    Raises TooBroadError of app.store.segments.compile, what the database raises.
    """
    workspace_id = caller.workspace_id
    with database.snapshot() as connection:
        if wanted.content != portable.USERS:
            is_event = wanted.content == portable.EVENTS
            found = everything.occurrences(connection, workspace_id, NAME_EVENT if is_event else NAME_PRODUCT)
            yield None, starmap(portable.event if is_event else portable.purchase, found)
        else:
            yield _count(connection, workspace_id, wanted, now_us), _users(connection, workspace_id, wanted, now_us)


def _count(connection: Connection, workspace_id: int, wanted: Wanted, now_us: int) -> int:
    if wanted.segment is None:
        return everything.count(connection, workspace_id)
    with connection.begin_nested() as apart:  # what counting lets PostgreSQL do ends with it
        size = segments.count(connection, workspace_id, wanted.segment, now_us, hurried=False)
        apart.rollback()
    return size


def _page(connection: Connection, workspace_id: int, wanted: Wanted, now_us: int, after: int) -> list[int]:
    if wanted.segment is None:
        return everything.page(connection, workspace_id, after, PAGE)
    with connection.begin_nested() as apart:
        people = segments.members(connection, workspace_id, wanted.segment, now_us, after, PAGE, hurried=False)
        apart.rollback()
    return [member.pid for member in people]


def _users(connection: Connection, workspace_id: int, wanted: Wanted, now_us: int) -> Iterator[Row]:
    after, sections = -1, sections_of(wanted.fields)
    while pids := _page(connection, workspace_id, wanted, now_us, after):
        after = pids[-1]
        for profile in _wholes(connection, workspace_id, pids, sections, now_us):
            yield portable.user(profile, wanted.fields)


def users_of(connection: Connection, workspace_id: int, pids: Sequence[int], now_us: int) -> Iterator[tuple[int, Row]]:
    """(number, the complete user) of some profiles, those that are still there."""
    for profile in _wholes(connection, workspace_id, pids, sections_of(None), now_us):
        yield profile.profile.pid, portable.user(profile, None)


def _wholes(
    connection: Connection, workspace_id: int, pids: Sequence[int], sections: int, now_us: int
) -> Iterator[portable.Whole]:
    for start in range(0, len(pids), PORTION):
        some = pids[start : start + PORTION]
        size_of = holders.sizes(connection, workspace_id, some)
        for portion in holders.portions(size_of, some, PORTION_BYTES):
            profiles = look_up.fetch(connection, workspace_id, dict.fromkeys(portion, sections))
            recorded = _recorded(connection, workspace_id, profiles)
            for profile in sorted(profiles, key=lambda one: one.pid):
                yield portable.Whole(profile, _of(profile, recorded), now_us)


def _recorded(
    connection: Connection, workspace_id: int, profiles: list[Profile]
) -> dict[ChannelAddress, dict[Address, AddressState]]:
    wanted = {address for profile in profiles for address in addresses_of(profile)}
    found: dict[ChannelAddress, dict[Address, AddressState]] = {}
    for address, state in look_up.fetch_addresses(connection, workspace_id, wanted).items():
        if state is not None:
            found.setdefault(address[:2], {})[address] = state
    return found


def _of(
    profile: Profile, recorded: Mapping[ChannelAddress, Mapping[Address, AddressState]]
) -> dict[Address, AddressState]:
    return {address: state for each in addresses_of(profile) for address, state in recorded.get(each, {}).items()}
