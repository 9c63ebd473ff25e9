"""A workspace that is already full: profiles written by the store, requests in its inbox, and the final check."""

import random
import time

from app.adapters.clock import now_us
from app.contract import kinds, stored, track
from app.domain import sizes
from app.domain.commands import STREAM_NORMAL, StreamKey
from app.domain.identifiers import identifiers_of
from app.domain.profile import (
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
from app.store import lane
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry
from app.store.names import NameCache
from app.store.profiles.save import remember, save
from bench import data
from bench.stack import KEY_NAME, Site
from bench.table import BenchError
from workers import replay

CHUNK = 2000
_WRITTEN = CORE | CUSTOM | EVENTS | PURCHASES | DEVICES


def profile(number: int) -> Profile:
    """Profile `number` as it is before any request of a bench."""
    found = data.sections(number)
    row = found.pop("row")
    made = Profile(
        **row, updated_index=0, random_bucket=number % 10_000, first_session_us=None, messages={}, commerce={}, **found
    )
    made.size = sizes.of_profile(made)
    return made


def state(numbers: range) -> State:
    """Those profiles, with their identifiers and consents, as a complete workspace."""
    made = [profile(number) for number in numbers]
    index: dict[Identifier, set[int]] = {}
    addresses: dict[Address, AddressState | None] = {}
    for one in made:
        for key in identifiers_of(one):
            index.setdefault(key, set()).add(one.pid)
        assert one.core is not None
        addresses[CHANNEL_EMAIL, str(one.core["email"]), ""] = AddressState("opted_in", data.WRITTEN_US)
    return State(made, index, addresses, complete=True)


def fill(site: Site, users: int) -> float:
    """Write the profiles; returns the seconds that it took."""
    began = time.monotonic()
    database = site.open()
    names: NameCache = {}
    try:
        for first in range(0, users, CHUNK):
            part = state(range(first, min(first + CHUNK, users)))
            changes = part.changes
            for pid in part.profiles:
                changes.created.add(pid)
                changes.sections[pid] = _WRITTEN
            changes.identifiers_added = {
                (key, pid) for pid, one in part.profiles.items() for key in identifiers_of(one)
            }
            changes.addresses = {address: consent for address, consent in part.addresses.items() if consent}
            with database.write() as connection:
                remember(names, save(connection, site.workspace_id, part, names))
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
    """Replay everything in memory and compare it with the store. Raises BenchError when they differ."""
    began = time.monotonic()
    database = site.open()
    try:
        head, cursor = place(database, site)
        if head != cursor:
            raise BenchError(f"{head - cursor} requests are not applied")
        # The reference starts from an empty workspace; here, from the preloaded one.
        found = replay.differences(database, site.workspace_id, site.secret, state=state(range(users)))
    finally:
        database.dispose()
    if found:
        raise BenchError(f"the profiles are not those of the reference: {found}")
    return f"{head:,} requests replayed, {users:,} profiles equal ({time.monotonic() - began:.0f} s)"
