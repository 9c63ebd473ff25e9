"""What batches changed, before anybody has said which webhooks are told of it.

The transaction of a batch adds a row with all its events: that costs the drain least. A sweeper makes the messages of
them (app.store.outbox), in order, and deletes the row in the same transaction. A row names nobody but who is deleted:
events have numbers of profiles, so a deletion finds nothing here, and whoever is gone when the messages are made gets
none.

Both take the lock of this module: a deletion, and whoever writes messages about people that it has looked up. So none
is written behind a deletion.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, text

from app.domain.observing import AddressEvent
from app.domain.profile import CHANNEL_KINDS
from app.domain.webhooks import MAX_CHANGED, SUBSCRIPTION, ProfileEvent
from app.store import chunks, webhooks
from app.store.bulk import BulkWrite, encode
from app.store.engine import Database
from app.store.profiles.queries import Query
from app.store.tables import WebhookEvents

#: Of an address that more people have, only so many are told of.
MAX_HOLDERS: Final = 1_000
#: Events of a row.
PORTION: Final = 1_000

_ADD: Final = BulkWrite(WebhookEvents)
_HOLDERS: Final = Query(
    "identifier", "t.pid", "t.kind = {0} and t.label = '' and t.value = {1}", numbers=(0,), some="pid"
)
_LAST: Final = text("select coalesce(max(n), 0) from webhook_event where workspace_id = :workspace_id")
_FIELDS: Final = "n, stream, seq, part, us, doc"
_FIRST: Final = text(f"select {_FIELDS} from webhook_event where workspace_id = :workspace_id order by n limit 1")
#: All parts of a request, once the cursor has passed it.
_PARTS: Final = text(
    f"select {_FIELDS} from webhook_event e where workspace_id = :workspace_id and part and stream = :stream"
    " and seq = :seq and seq <= (select case e.stream when 0 then l.cursor_normal else l.cursor_bulk end from lane l"
    " where l.workspace_id = :workspace_id) order by n"
)
_DELETE: Final = text("delete from webhook_event where workspace_id = :workspace_id and n = :n")
_WAITING: Final = text(f"select {_FIELDS} from webhook_event where workspace_id = :workspace_id order by n")
_WORKSPACES: Final = text(
    "select distinct workspace_id from webhook_event where true /*here workspace_id*/ order by workspace_id"
)
_LOCK: Final = text("select pg_advisory_xact_lock(727013, cast(:workspace_id as integer))")
_TRY: Final = text("select pg_try_advisory_xact_lock(727013, cast(:workspace_id as integer))")

_OLD: Final = "us < :before_us"
#: Of each workspace the newest rows stay.
_LARGE: Final = (
    "(workspace_id, n) in (select workspace_id, n from (select workspace_id, n, sum(length(doc) + 50)"
    " over (partition by workspace_id order by n desc) as total from webhook_event where true /*here workspace_id*/) e"
    " where total > :most)"
)
_DROPPED: Final = {
    condition: text(
        f"select workspace_id, {_FIELDS} from webhook_event where {condition} /*here workspace_id*/ limit 100"
    )
    for condition in (_OLD, _LARGE)
}

#: (request, when it was accepted, profile, types, changed, others, [braze_id, external id] and webhooks of somebody who
#: is gone)
_Event = tuple[int, int, int, int, list[str], list[int], tuple[str, str | None] | None, tuple[str, ...]]
_decode: Final = msgspec.json.Decoder(list[_Event]).decode


@dataclass(frozen=True, slots=True)
class Portion:
    """Rows whose events are told together: one, or all parts of a request."""

    rows: tuple[int, ...]
    events: list[ProfileEvent]


def write(
    connection: Connection,
    workspace_id: int,
    events: dict[tuple[int, int, int], ProfileEvent],
    addresses: Sequence[AddressEvent],
    cut: Iterable[int],
) -> None:
    """Keep what a batch changed, once its profiles are saved. `cut`: its requests of which something was applied
    before, or is applied later. Part of the transaction of the batch."""
    _add_holders(connection, workspace_id, events, addresses)
    groups: dict[int, list[ProfileEvent]] = {0: []}
    for seq in sorted(cut):
        groups[seq] = []
    for event in events.values():
        groups.get(event.seq, groups[0]).append(event)
    n = int(connection.execute(_LAST, {"workspace_id": workspace_id}).scalar_one())
    rows: list[dict[str, Any]] = []
    for part, group in sorted(groups.items(), key=lambda one: one[1][0].seq if one[1] else 0):
        group.sort(key=lambda event: event.seq)
        for first in range(0, len(group), PORTION):
            some = group[first : first + PORTION]
            last = some[-1]
            rows.append(
                {
                    "n": n + len(rows) + 1,
                    "stream": last.stream,
                    "seq": last.seq,
                    "part": bool(part),
                    "us": some[0].us,
                    "doc": encode([_kept(event) for event in some]),
                }
            )
    _ADD.run(connection, workspace_id, rows)


def _kept(event: ProfileEvent) -> tuple[Any, ...]:
    changed = event.changed
    if len(changed) > MAX_CHANGED:
        changed = set(sorted(changed)[: MAX_CHANGED + 1])
    return event.seq, event.us, event.pid, event.types, changed, event.others, event.gone, event.members


def _add_holders(
    connection: Connection,
    workspace_id: int,
    events: dict[tuple[int, int, int], ProfileEvent],
    addresses: Sequence[AddressEvent],
) -> None:
    """What is recorded of an address is recorded of everybody who has it."""
    keys = list(dict.fromkeys((one.channel, one.address) for one in addresses))
    if not keys:
        return
    holders: dict[tuple[int, str], list[int]] = {key: [] for key in keys}
    wanted = [(CHANNEL_KINDS[channel], address) for channel, address in keys]
    for place, pid in _HOLDERS.run(connection, workspace_id, wanted, most=MAX_HOLDERS):
        holders[keys[place]].append(pid)
    for one in addresses:
        for pid in holders[one.channel, one.address]:
            event = ProfileEvent(one.stream, one.seq, one.us, pid, SUBSCRIPTION, {one.changed})
            known = events.setdefault(event.place, event)
            if known is not event:
                known.add(event)


def lock(connection: Connection, workspace_id: int) -> None:
    """Let nobody else write messages about people of the workspace, or delete people, until the transaction ends.
    SQLite's writers wait for each other anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"workspace_id": workspace_id})


def try_lock(connection: Connection, workspace_id: int) -> bool:
    """As `lock`, where nobody has it."""
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.execute(_TRY, {"workspace_id": workspace_id}).scalar_one())


def workspaces(connection: Connection) -> list[int]:
    """Those with events that wait."""
    return list(connection.execute(_WORKSPACES).scalars())


def first(connection: Connection, workspace_id: int) -> Portion | None:
    """The next events in order; None = there are none, or a request that is applied in parts is not finished."""
    values: dict[str, Any] = {"workspace_id": workspace_id}
    row = connection.execute(_FIRST, values).one_or_none()
    if row is None:
        return None
    rows: Sequence[Any] = [row]
    if row.part:
        rows = connection.execute(_PARTS, {**values, "stream": row.stream, "seq": row.seq}).all()
        if not rows:
            return None
    events: dict[tuple[int, int, int], ProfileEvent] = {}
    for each in rows:
        for event in _events(each):
            known = events.setdefault(event.place, event)
            if known is not event:
                known.add(event)
    return Portion(tuple(each.n for each in rows), list(events.values()))


def waiting(connection: Connection, workspace_id: int) -> set[int]:
    """Numbers of the profiles that events are about."""
    rows = connection.execute(_WAITING, {"workspace_id": workspace_id})
    return {event.pid for row in rows for event in _events(row)}


def delete(connection: Connection, workspace_id: int, portion: Portion) -> None:
    """Forget events whose messages are written."""
    connection.execute(_DELETE, [{"workspace_id": workspace_id, "n": n} for n in portion.rows])


def _events(row: Any) -> list[ProfileEvent]:
    return [
        ProfileEvent(row.stream, seq, us, pid, types, set(changed), set(others), gone, members)
        for seq, us, pid, types, changed, others, gone, members in _decode(row.doc)
    ]


def trim(database: Database, before_us: int, most_bytes: int) -> int:
    """Drop events of before a time, and beyond a size of each workspace the oldest. Returns how many messages less
    there will be."""

    def part(condition: str, values: dict[str, int]) -> int:
        with database.read() as connection:
            rows = connection.execute(_DROPPED[condition], values).all()
        for row in rows:
            with database.write() as connection:
                lock(connection, row.workspace_id)
                if not connection.execute(_DELETE, {"workspace_id": row.workspace_id, "n": row.n}).rowcount:
                    continue  # told meanwhile
                types = [event.types for event in _events(row)]
                told = [one for one in webhooks.listed(connection, row.workspace_id) if one.enabled]
                numbers = [(row.workspace_id, one.id, sum(bool(each & one.wants) for each in types)) for one in told]
                webhooks.count_dropped(connection, numbers)
                dropped.extend(number for _, _, number in numbers)
        return len(rows)

    dropped: list[int] = []
    chunks.repeat(lambda: part(_OLD, {"before_us": before_us}))
    chunks.repeat(lambda: part(_LARGE, {"most": most_bytes}))
    return sum(dropped)
