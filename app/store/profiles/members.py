"""Who has recorded states of subscription groups: people by identifier, and states by person."""

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Connection, text

from app.domain.identifiers import ChannelAddress, addresses_of, with_former
from app.domain.profile import (
    CHANNEL_FIELDS,
    CORE,
    EXTERNAL,
    GROUP_FIELDS,
    Address,
    AddressState,
    Identifier,
    Profile,
    is_group,
)
from app.store.bulk import encode
from app.store.profiles import look_up

#: Holders of an address that are looked at, where the group asked about goes by another kind of address.
MOST: Final = 100

_HOLDERS_POSTGRESQL: Final = """
    select distinct i.pid from jsonb_array_elements(cast(:keys as jsonb)) k join identifier i
    on i.workspace_id = :workspace_id and i.kind = cast(k ->> 0 as bigint) and i.label = '' and i.value = k ->> 1
"""
_HOLDERS_SQLITE: Final = """
    select distinct i.pid from json_each(:keys) k cross join identifier i
    where i.workspace_id = :workspace_id and i.kind = k.value ->> 0 and i.label = '' and i.value = k.value ->> 1
"""
_PAGE: Final = "select pid from ({holders}) as h order by pid limit :most offset :skip"
_COUNT: Final = "select count(*) from ({holders}) as h"


def page(
    connection: Connection, workspace_id: int, keys: Sequence[Identifier], limit: int, offset: int
) -> tuple[list[Profile], int]:
    """(a page of the people who have any of the identifiers, how many there are on all pages).

    Those with an external id that was asked for come first, in that order, then all others by number.
    """
    external = [key for key in keys if key[0] == EXTERNAL]
    index = look_up.find(connection, workspace_id, {each for key in external for each in with_former(key)})
    first = [pid for key in external for pid in next((index[each] for each in with_former(key) if index[each]), ())]
    pids = list(dict.fromkeys(first))
    total = len(pids)
    shared = [[kind, value] for kind, _, value in keys if kind != EXTERNAL]
    chosen = pids[offset : offset + limit]
    if shared:
        postgresql = connection.dialect.name == "postgresql"
        holders = _HOLDERS_POSTGRESQL if postgresql else _HOLDERS_SQLITE
        values = {"workspace_id": workspace_id, "keys": encode(shared)}
        if pids:
            column = "i.pid"
            more = " and " if not postgresql else " where "
            listed = ", ".join(str(pid) for pid in pids)  # numbers of ours
            holders += f"{more}{column} not in ({listed})"
        total += connection.execute(text(_COUNT.format(holders=holders)), values).scalar_one()
        most, skip = limit - len(chosen), max(0, offset - len(pids))
        if most > 0:
            statement = text(_PAGE.format(holders=holders))
            chosen += connection.execute(statement, {**values, "most": most, "skip": skip}).scalars()
    found = {one.pid: one for one in look_up.fetch(connection, workspace_id, dict.fromkeys(chosen, CORE))}
    return [found[pid] for pid in chosen if pid in found], total


def states(connection: Connection, workspace_id: int, profiles: Sequence[Profile], now_us: int) -> list[dict[str, str]]:
    """Of each profile {id of a group: state}, of all that are recorded."""
    wanted = {address for profile in profiles for address in addresses_of(profile)}
    recorded = recorded_topics(connection, workspace_id, wanted, now_us)
    return [_of(profile, recorded) for profile in profiles]


def _of(profile: Profile, recorded: dict[ChannelAddress, dict[str, AddressState]]) -> dict[str, str]:
    core = profile.core or {}
    found: dict[str, str] = {}
    for channel, field in CHANNEL_FIELDS.items():
        address = core.get(field)
        if isinstance(address, str):
            topics = recorded.get((channel, address), {})
            found |= {topic: state.state for topic, state in topics.items() if is_group(topic)}
        else:
            own = core.get(GROUP_FIELDS[channel], {})
            assert isinstance(own, dict)  # noqa: S101 - for the type: the section is JSON
            found |= {group: state for group, (state, _) in own.items()}
    return found


def recorded_topics(
    connection: Connection, workspace_id: int, addresses: Iterable[ChannelAddress], now_us: int
) -> dict[ChannelAddress, dict[str, AddressState]]:
    """What is recorded of addresses and not forgotten, by topic."""
    found: dict[ChannelAddress, dict[str, AddressState]] = {}
    wanted = sorted(set(addresses))
    fetched: dict[Address, AddressState | None] = (
        look_up.fetch_addresses(connection, workspace_id, wanted) if wanted else {}
    )
    for (channel, address, topic), state in fetched.items():
        if state is not None and (state.forget_us is None or state.forget_us > now_us):
            found.setdefault((channel, address), {})[topic] = state
    return found
