"""A workspace that is already full: profiles written by the store, requests in its inbox, and the final check."""

import random
import time
from collections.abc import Iterable

from app.adapters.clock import now_us
from app.contract import kinds, stored, track
from app.domain import sizes
from app.domain.apply import apply_commands
from app.domain.commands import STREAM_NORMAL, Command, StreamKey, TrackAttributes, TrackEvent, TrackPurchase
from app.domain.identifiers import identifiers_of
from app.domain.order import positions
from app.domain.profile import (
    ALL_SECTIONS,
    CHANNEL_EMAIL,
    CORE,
    CUSTOM,
    DEVICES,
    EVENTS,
    PURCHASES,
    Address,
    AddressState,
    Identifier,
    Profile,
)
from app.domain.state import State
from app.domain.step import Step
from app.store import lane
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry
from app.store.names import NameCache
from app.store.profiles.catalogue import remember
from app.store.profiles.look_up import fetch
from app.store.profiles.save import save
from bench import copies, data
from bench.stack import KEY_NAME, Site
from bench.table import BenchError
from workers import replay
from workers.ahead import decoded

CHUNK = 2000
_WRITTEN = CORE | CUSTOM | EVENTS | PURCHASES | DEVICES


def profile(number: int, *, large: bool = False) -> Profile:
    """Profile `number` as it is before any request of a bench."""
    found = data.sections(number, large=large)
    row = found.pop("row")
    made = Profile(
        **row, updated_index=0, random_bucket=number % 10_000, first_session_us=None, messages={}, commerce={}, **found
    )
    made.size = sizes.of_profile(made)
    return made


def state(numbers: Iterable[int], *, large: bool = False) -> State:
    """Those profiles, with their identifiers and consents, as a complete workspace."""
    made = [profile(number, large=large) for number in numbers]
    index: dict[Identifier, set[int]] = {}
    addresses: dict[Address, AddressState | None] = {}
    for one in made:
        for key in identifiers_of(one):
            index.setdefault(key, set()).add(one.pid)
        assert one.core is not None
        addresses[CHANNEL_EMAIL, str(one.core["email"]), ""] = AddressState("opted_in", data.WRITTEN_US)
    return State(made, index, addresses, complete=True)


def fill(site: Site, users: int, *, large: bool = False) -> float:
    """Write the profiles; returns the seconds that it took. Those of 17 KB, `large`, are at most data.PERIOD."""
    began = time.monotonic()
    database = site.open()
    names: NameCache = {}
    try:
        for first in range(0, min(users, data.PERIOD), CHUNK):
            write(database, site.workspace_id, range(first, min(first + CHUNK, users, data.PERIOD)), names, large=large)
        for shift in range(data.PERIOD, users, data.PERIOD):
            with database.write() as connection:
                if database.is_postgresql:
                    connection.exec_driver_sql("set local statement_timeout = 0")
                copies.shifted(connection, site.workspace_id, shift, users)
        if database.is_postgresql:
            with database.main.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("set statement_timeout = 0")
                connection.exec_driver_sql("vacuum analyze")
                connection.exec_driver_sql("checkpoint")
        else:
            with database.write() as connection:
                connection.exec_driver_sql("analyze")
    finally:
        database.dispose()
    return time.monotonic() - began


def write(
    database: Database, workspace_id: int, numbers: Iterable[int], names: NameCache, *, large: bool = False
) -> None:
    """Write these profiles, which are not there yet, as the store does it."""
    part = state(numbers, large=large)
    changes = part.changes
    for pid in part.profiles:
        changes.created.add(pid)
        changes.sections[pid] = _WRITTEN
    changes.identifiers_added = {(key, pid) for pid, one in part.profiles.items() for key in identifiers_of(one)}
    changes.addresses = {address: consent for address, consent in part.addresses.items() if consent}
    with database.write() as connection:
        remember(names, save(connection, workspace_id, part, names))


def entry(body: bytes) -> Entry:
    """A clean request to /users/track as the API stores it: with the name of its key."""
    return Entry(kinds.TRACK, *stored.signed(track.CODEC_AS_SENT, body, KEY_NAME))


def queue(site: Site, bodies: list[bytes], count: int) -> None:
    """Put requests into the inbox, as the API stores clean ones. Raises BenchError if one of them is not."""
    database = site.open()
    codec = track.CODEC_AS_SENT
    limits = track.Limits(data.OBJECTS, None)
    if any(track.check(body, limits).codec != codec for body in random.Random(1).sample(bodies, min(50, len(bodies)))):
        raise BenchError("a request of the bench is not clean")
    entries = [entry(bodies[n % len(bodies)]) for n in range(count)]
    try:
        for first in range(0, count, 256):
            with database.write(database.inbox) as connection:
                inbox.append(connection, site.workspace_id, STREAM_NORMAL, entries[first : first + 256], now_us())
    finally:
        database.dispose()


def place(database: Database, site: Site) -> tuple[int, int]:
    """(head, cursor) of the workspace's live stream."""
    with database.read() as connection:
        cursor = lane.cursors(connection)[StreamKey(site.workspace_id, STREAM_NORMAL)]
    with database.read(database.inbox) as connection:
        return inbox.head(connection, site.workspace_id, STREAM_NORMAL), cursor


def check(site: Site, users: int) -> str:
    """Replay everything in memory and compare it with the store: of more than data.PERIOD profiles only the first ones,
    and nothing beside them. Raises BenchError when they differ."""
    began = time.monotonic()
    database = site.open()
    try:
        head, cursor = place(database, site)
        if head != cursor:
            raise BenchError(f"{head - cursor} requests are not applied")
        # The reference starts from an empty workspace; here, from the preloaded one.
        before = state(range(min(users, data.PERIOD)))
        if users > data.PERIOD:
            found = _differences(database, site, before, head)
        else:
            found = replay.differences(database, site.workspace_id, site.secret, state=before)
    finally:
        database.dispose()
    if found:
        raise BenchError(f"the profiles are not those of the reference: {found}")
    return f"{head:,} requests replayed, {min(users, data.PERIOD):,} profiles equal ({time.monotonic() - began:.0f} s)"


def _differences(database: Database, site: Site, before: State, head: int) -> list[str]:
    """How the profiles of a part of the workspace differ from what these requests make of them."""
    for after in range(0, head, 500):
        with database.read(database.inbox) as connection:
            batch = inbox.read(connection, site.workspace_id, STREAM_NORMAL, after, 0, 500)
        for request in map(decoded, batch):
            ours = {n for n, command in enumerate(request.commands) if before.holders(_person(command))}
            order = [n for n in positions(request, before.holders) if n in ours]
            apply_commands(Step(before, request, site.workspace_id, site.secret), order)
    problems = []
    numbers = sorted(before.profiles)
    for first in range(0, len(numbers), CHUNK):
        wanted = dict.fromkeys(numbers[first : first + CHUNK], ALL_SECTIONS)
        with database.read() as connection:
            stored_ones = {one.pid: one for one in fetch(connection, site.workspace_id, wanted)}
        problems += [f"profile {pid} differs" for pid in wanted if stored_ones.get(pid) != before.profiles[pid]]
    return problems[:20]


def _person(command: Command) -> Identifier:
    """Whom a command of the bench is about."""
    if not isinstance(command, TrackAttributes | TrackEvent | TrackPurchase):
        raise BenchError("a request of the bench is about more than one profile")
    return command.identifier
