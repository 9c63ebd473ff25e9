"""Loading the part of a workspace that a batch of commands can see or change."""

from collections.abc import Sequence
from functools import reduce
from operator import or_

from sqlalchemy import Connection

from app.domain import sizes
from app.domain.commands import Command
from app.domain.identifiers import identifiers_of
from app.domain.loading import Needs, addresses_needed, choices, needs
from app.domain.merging.plan import MergeRecord
from app.domain.profile import (
    ALL_SECTIONS,
    CHANNEL_EMAIL,
    CORE,
    DEPRECATED,
    EMAIL,
    EXTERNAL,
    PHONE,
    Address,
    Identifier,
)
from app.domain.settings import ApplySettings
from app.domain.state import State
from app.store import merges
from app.store.profiles import crowds, lineage
from app.store.profiles.look_up import fetch, fetch_addresses, find


def load(
    connection: Connection,
    workspace_id: int,
    commands: Sequence[Command],
    settings: ApplySettings,
    limits: crowds.Limits,
    known: crowds.Crowds,
) -> State:
    """The part of a workspace that the commands can see or change.

    `limits` says how many holders of an address are loaded. When reducing raises TooFewLoadedError, load again with
    more of them. `known` are the crowds as they are now; crowds that had to be looked over are added to it.
    """
    wanted: Needs = needs(commands)
    records = merges.fetch(connection, workspace_id, wanted.merges)
    index = find(connection, workspace_id, wanted.sections, limits.holders + 1)
    crowded = _crowded(connection, workspace_id, index, commands, limits, known)
    sections: dict[int, int] = {}
    for key, pids in index.items():
        for pid in pids:
            sections[pid] = sections.get(pid, 0) | wanted.sections[key]
    if crowded:
        # We cannot know yet which other profiles share the address, so we load the same sections for all.
        union = reduce(or_, wanted.sections.values(), CORE)
        sections = dict.fromkeys(sections, union)
    for record in records.values():
        if record is not None:
            sections[record.kept_pid] = ALL_SECTIONS
    profiles = fetch(connection, workspace_id, sections)
    for profile in profiles:
        if profile.size == 0:
            profile.size = _counted(connection, workspace_id, profile.pid)
    state = State(profiles, index, {}, settings)
    _join_crowds(state, crowded)
    if wanted.identity:
        _load_shared(connection, workspace_id, state, wanted)
    if records:
        _load_records(connection, workspace_id, state, records)
    addresses = addresses_needed(commands, state, moving=wanted.moving or bool(wanted.identity or records))
    addresses |= {address for record in records.values() for address in _addresses_of(record)}
    if addresses:
        state.addresses = fetch_addresses(connection, workspace_id, addresses)
    return state


def _counted(connection: Connection, workspace_id: int, pid: int) -> int:
    """The size of a profile that an earlier version wrote."""
    (profile,) = fetch(connection, workspace_id, {pid: ALL_SECTIONS})
    return sizes.of_profile(profile)


def _crowded(
    connection: Connection,
    workspace_id: int,
    index: dict[Identifier, set[int]],
    commands: Sequence[Command],
    limits: crowds.Limits,
    known: crowds.Crowds,
) -> dict[Identifier, crowds.Part]:
    """The crowds among the holders; the index then has those of them that are loaded."""
    crowded = {}
    many = [key for key, pids in index.items() if len(pids) > limits.holders]
    chosen = choices(commands) if many else {}
    for key in many:
        crowded[key] = known.part(connection, workspace_id, key, limits, chosen.get(key))
        index[key] = crowded[key].pids
    return crowded


def _join_crowds(state: State, crowded: dict[Identifier, crowds.Part]) -> None:
    for key, part in crowded.items():
        loaded = {True: 0, False: 0}
        for pid, profile in state.profiles.items():
            if key in identifiers_of(profile):
                state.index[key].add(pid)
                loaded[profile.external_id is not None] += 1
        rest = part.unloaded(loaded)
        if rest:
            state.unloaded[key] = rest


def _load_shared(connection: Connection, workspace_id: int, state: State, wanted: Needs) -> None:
    """Load whether anybody else has the addresses of profiles that may be deleted: consent goes with the last holder.

    It does not matter who the others are. One more holder than there are profiles to be deleted shows that an address
    stays.
    """
    pids = {pid for key in wanted.identity for pid in state.index[key]}
    profiles = [state.profiles[pid] for pid in pids] if not wanted.moving else list(state.profiles.values())
    keys = {key for profile in profiles for key in identifiers_of(profile)} | wanted.given
    shared = [key for key in keys if key[0] in (EMAIL, PHONE) and key not in state.index]
    if shared:
        state.index |= find(connection, workspace_id, shared, len(state.profiles) + 1)


def _load_records(
    connection: Connection, workspace_id: int, state: State, records: dict[str, MergeRecord | None]
) -> None:
    """Load what undoing these merges looks at: who has the identifiers now, and where the kept profiles went.

    After a crash the same batch may do a merge again and undo it. So the identifiers of all loaded profiles are needed.
    """
    state.records = records
    present = [record for record in records.values() if record is not None]
    state.lineage = lineage.above(connection, workspace_id, {record.kept_pid for record in present})
    people = [record.snapshot for record in present if record.snapshot is not None] + list(state.profiles.values())
    keys = {key for profile in people for key in identifiers_of(profile)}
    keys |= {(kind, "", key[2]) for key in keys if key[0] in (EXTERNAL, DEPRECATED) for kind in (EXTERNAL, DEPRECATED)}
    missing = find(connection, workspace_id, keys - state.index.keys(), len(people) + 1)
    state.index |= missing


def _addresses_of(record: MergeRecord | None) -> list[Address]:
    addresses: list[Address] = []
    if record is not None and record.plan is not None and record.plan.consent is not None:
        addresses.append(record.plan.consent.address)
    email = (record.snapshot.core or {}).get("email") if record is not None and record.snapshot is not None else None
    return [*addresses, (CHANNEL_EMAIL, email, "")] if isinstance(email, str) else addresses
