"""The outbox of change webhooks: messages are written in the transaction of the change, and deleted when taken.

A message is sent when the cursor has passed its request: then the whole request is in it. The sender reads messages and
writes its lease in one transaction whose commit waits for the disk. Whatever that transaction saw was committed before
it, so it is on the disk as well, and no crash takes it back.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, bindparam, text

from app.domain.observing import AddressEvent
from app.domain.profile import CHANNEL_KINDS
from app.domain.webhooks import (
    DELETED,
    MAX_CHANGED,
    MERGE_UNDONE,
    MERGED,
    SUBSCRIPTION,
    TEST,
    ProfileEvent,
    Webhook,
)
from app.store import chunks, webhooks
from app.store.bulk import BulkWrite
from app.store.chunks import CHUNK
from app.store.engine import Database
from app.store.profiles.queries import Query
from app.store.tables import WebhookMessage

DUE: Final = "due"
DEAD: Final = "dead"
STATES: Final = (DUE, DEAD)
#: Of an address that more people have, only so many are told of.
MAX_HOLDERS: Final = 1_000
#: Messages that failed of which the sender looks at; with more, no others are begun.
MOST_AGAIN: Final = 500

_WRITE: Final = BulkWrite(WebhookMessage, update=("types", "doc"))
_ADD: Final = BulkWrite(WebhookMessage)
_HOLDERS: Final = Query(
    "identifier", "t.pid", "t.kind = {0} and t.label = '' and t.value = {1}", numbers=(0,), some="pid"
)
_PEOPLE: Final = Query("profile", "t.pid, t.braze_id, t.external_id", "t.pid = {0}", numbers=(0,))
_CORES: Final = Query("profile_core", "t.pid, t.doc", "t.pid = {0}", numbers=(0,))
_LAST: Final = text(
    "select coalesce(max(n), 0) from (select (select m.n from webhook_message m where m.workspace_id = w.workspace_id"
    " and m.webhook_id = w.id and m.state = 'due' order by m.n desc limit 1) as n"
    " from webhook w where w.workspace_id = :workspace_id) x"
)
_FIELDS: Final = "pid, webhook_id, id, n, stream, seq, us, types, doc, state, attempts, due_us, error"
_PRESENT: Final = text(
    f"select {_FIELDS} from webhook_message where workspace_id = :workspace_id and pid in :pids"
    " and stream = :stream and seq = :seq"
).bindparams(bindparam("pids", expanding=True))
_PASSED: Final = (
    " and m.seq <= (select case m.stream when 0 then l.cursor_normal else l.cursor_bulk end from lane l"
    " where l.workspace_id = m.workspace_id)"
)
_OF_WEBHOOK: Final = (
    f"select {_FIELDS} from webhook_message m where m.workspace_id = :workspace_id and m.webhook_id = :webhook_id"
)
_AGAIN: Final = text(f"{_OF_WEBHOOK} and m.state = 'due' and m.attempts > 0 order by m.n limit :limit")
_FRESH: Final = text(f"{_OF_WEBHOOK} and m.state = 'due' and m.attempts = 0{_PASSED} order by m.n limit :limit")
_BY_STATE: Final = {state: text(f"{_OF_WEBHOOK} and m.state = '{state}' order by m.n limit :limit") for state in STATES}
_KEY: Final = "workspace_id = :workspace_id and pid = :pid and webhook_id = :webhook_id and id = :id"
_DELETE: Final = text(f"delete from webhook_message where {_KEY}")
_FAILED: Final = text(
    f"update webhook_message set attempts = :attempts, due_us = :due_us, state = :state, error = :error where {_KEY}"
)
_REPLAY: Final = text(
    "update webhook_message set state = 'due', attempts = 0, due_us = :now_us"
    " where workspace_id = :workspace_id and webhook_id = :webhook_id and state = 'dead'"
)
_ERASE: Final = text(
    f"delete from webhook_message where workspace_id = :workspace_id and pid in :pids and types & {DELETED} = 0"
).bindparams(bindparam("pids", expanding=True))
_NAMING: Final = text(
    f"select {_FIELDS} from webhook_message where workspace_id = :workspace_id and types & {MERGED | MERGE_UNDONE} <> 0"
)
_RENAME: Final = text(f"update webhook_message set doc = :doc where {_KEY}")
_OLD: Final = text(f"select workspace_id, pid, webhook_id, id from webhook_message where us < :before_us limit {CHUNK}")
#: Of each workspace the newest messages stay.
_LARGE: Final = text(
    f"""
    select workspace_id, pid, webhook_id, id from (
        select workspace_id, pid, webhook_id, id,
               sum(length(cast(doc as text)) + 250) over (partition by workspace_id order by n desc, id) as total
        from webhook_message
    ) m where total > :most limit {CHUNK}
    """
)


@dataclass(frozen=True, slots=True)
class Message:
    """As in the table."""

    pid: int
    webhook_id: str
    id: str
    n: int
    stream: int
    seq: int
    us: int
    types: int
    doc: dict[str, Any]
    state: str
    attempts: int
    due_us: int
    error: str


@dataclass(frozen=True, slots=True)
class Person:
    """How somebody is called now."""

    braze_id: str
    external_id: str | None
    core: dict[str, Any]


def write(
    connection: Connection,
    workspace_id: int,
    event_id: Callable[[int, int, int], str],
    events: dict[tuple[int, int, int], ProfileEvent],
    addresses: Sequence[AddressEvent],
    now_us: int,
    begun: tuple[int, int] | None,
) -> int:
    """Keep what a batch changed for the webhooks that want to know, once its profiles are saved. Returns how many rows.

    `event_id` gets (stream, request, number of a profile). `begun`: the request of which an earlier part may have been
    kept already.
    """
    told = [one for one in webhooks.listed(connection, workspace_id) if one.enabled]
    if not told:
        return 0
    _add_holders(connection, workspace_id, events, addresses)
    if begun is not None:
        _add_earlier_part(connection, workspace_id, events, begun)
    n = int(connection.execute(_LAST, {"workspace_id": workspace_id}).scalar_one())
    rows: list[dict[str, Any]] = []
    for event in sorted(events.values(), key=lambda one: one.seq):  # those of one request are of different profiles
        n += 1
        doc = _doc(event)
        rows += [
            {
                "pid": event.pid,
                "webhook_id": webhook.id,
                "id": event_id(*event.place),
                "n": n,
                "stream": event.stream,
                "seq": event.seq,
                "us": event.us,
                "types": event.types,
                "doc": dict(doc),
                "state": DUE,
                "attempts": 0,
                "due_us": now_us,
                "error": "",
            }
            for webhook in told
            if event.types & webhook.wants
        ]
    _WRITE.run(connection, workspace_id, rows)
    return len(rows)


def _doc(event: ProfileEvent) -> dict[str, Any]:
    doc: dict[str, Any] = {"braze_id": event.braze_id, "external_id": event.external_id}
    if not event.types & DELETED:
        doc["changed"] = sorted(event.changed)[: MAX_CHANGED + 1]
    if event.others:
        doc["others"] = sorted(event.others.items())
    return doc


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
    people = _people(connection, workspace_id, {pid for pids in holders.values() for pid in pids})
    for one in addresses:
        for pid in holders[one.channel, one.address]:
            if pid in people:
                event = ProfileEvent(one.stream, one.seq, one.us, pid, *people[pid], SUBSCRIPTION, {one.changed})
                known = events.setdefault(event.place, event)
                if known is not event:
                    known.add(event)


def _people(connection: Connection, workspace_id: int, pids: Iterable[int]) -> dict[int, tuple[str, str | None]]:
    keys = [[pid] for pid in sorted(pids)]
    rows = _PEOPLE.run(connection, workspace_id, keys) if keys else ()
    return {pid: (braze_id, external_id) for _, pid, braze_id, external_id in rows}


def _add_earlier_part(
    connection: Connection,
    workspace_id: int,
    events: dict[tuple[int, int, int], ProfileEvent],
    begun: tuple[int, int],
) -> None:
    stream, seq = begun
    pids = [event.pid for event in events.values() if (event.stream, event.seq) == begun]
    if not pids:
        return
    values = {"workspace_id": workspace_id, "pids": pids, "stream": stream, "seq": seq}
    for row in connection.execute(_PRESENT, values).all():
        earlier, event = _message(row), events[stream, seq, row.pid]
        event.types |= earlier.types
        event.changed.update(earlier.doc.get("changed", ()))
        event.others.update((number, braze_id) for number, braze_id in earlier.doc.get("others", ()))
        event.add(event)


def erase(connection: Connection, workspace_id: int, pids: Collection[int]) -> None:
    """Of deleted people nobody is told anything any more, but that they are deleted.

    Part of the transaction that deletes.
    """
    if not pids:
        return
    values = {"workspace_id": workspace_id}
    connection.execute(_ERASE, {**values, "pids": sorted(pids)})
    for row in connection.execute(_NAMING, values).all():  # merges of others with them
        message = _message(row)
        left = [other for other in message.doc.get("others", ()) if other[0] not in pids]
        if len(left) < len(message.doc.get("others", ())):
            doc = msgspec.json.encode(message.doc | {"others": left}).decode()
            connection.execute(_RENAME, {**_key(workspace_id, message), "doc": doc})


def add_test(connection: Connection, workspace_id: int, webhook_id: str, message_id: str, now_us: int) -> None:
    """Keep a message that says that it is a test."""
    row = {"pid": 0, "webhook_id": webhook_id, "id": message_id, "n": 0, "stream": 0, "seq": 0, "us": now_us}
    row |= {"types": TEST, "doc": {}, "state": DUE, "attempts": 0, "due_us": now_us, "error": ""}
    _ADD.run(connection, workspace_id, [row])


def take(
    database: Database, webhook: Webhook, now_us: int, until_us: int, limit: int, *, resting: bool
) -> list[Message] | None:
    """Messages that are to be sent now in this order, of each profile from its oldest on; none may be taken back any
    more: `database` is one whose commits wait for the disk. Nobody else sends for the webhook before `until_us`. None
    when somebody does.

    `resting`: one message at most, since the last ones failed. Raises what the database raises.
    """
    with database.write() as connection:
        values = {"workspace_id": webhook.workspace_id, "webhook_id": webhook.id}
        again = [_message(row) for row in connection.execute(_AGAIN, {**values, "limit": MOST_AGAIN})]
        waiting = {message.pid for message in again if message.pid and message.due_us > now_us}
        chosen = [message for message in again if message.due_us <= now_us and message.pid not in waiting]
        if len(again) < MOST_AGAIN and len(chosen) < limit:
            fresh = [_message(row) for row in connection.execute(_FRESH, {**values, "limit": limit})]
            chosen += [message for message in fresh if message.pid not in waiting]
        if not webhooks.lease(connection, webhook, until_us):
            return None
    return chosen[: 1 if resting else limit]


def people(connection: Connection, workspace_id: int, pids: Iterable[int]) -> dict[int, Person]:
    """Who is there, by number."""
    named = _people(connection, workspace_id, pids)
    cores = _CORES.run(connection, workspace_id, [[pid] for pid in sorted(named)]) if named else ()
    sections = {pid: msgspec.json.decode(doc) if isinstance(doc, str) else doc for _, pid, doc in cores}
    return {pid: Person(*names, sections.get(pid) or {}) for pid, names in named.items()}


def delete(connection: Connection, workspace_id: int, taken: Iterable[Message]) -> None:
    """Forget what was taken."""
    rows = [_key(workspace_id, message) for message in taken]
    if rows:
        connection.execute(_DELETE, rows)


def fail(connection: Connection, workspace_id: int, message: Message, state: str, due_us: int, error: str) -> None:
    """Note a failed attempt: the message is DUE again at a time, or DEAD."""
    values = {"attempts": message.attempts + 1, "due_us": due_us, "state": state, "error": error}
    connection.execute(_FAILED, {**_key(workspace_id, message), **values})


def replay(connection: Connection, workspace_id: int, webhook_id: str, now_us: int) -> int:
    """Have all dead messages of a webhook sent again. Returns how many."""
    values = {"workspace_id": workspace_id, "webhook_id": webhook_id, "now_us": now_us}
    return connection.execute(_REPLAY, values).rowcount


def listed(connection: Connection, workspace_id: int, webhook_id: str, state: str, limit: int) -> list[Message]:
    """The oldest messages of a webhook that are DUE or DEAD."""
    values = {"workspace_id": workspace_id, "webhook_id": webhook_id, "limit": limit}
    return [_message(row) for row in connection.execute(_BY_STATE[state], values)]


def trim(database: Database, before_us: int, most_bytes: int) -> int:
    """Drop messages of before a time, and beyond a size of each workspace the oldest. Returns how many."""

    def part(find: Any, values: dict[str, int]) -> int:
        with database.read() as connection:
            rows = connection.execute(find, values).all()
        counts: dict[tuple[int, str], int] = {}
        with database.write() as connection:
            for row in rows:
                if connection.execute(_DELETE, row._asdict()).rowcount:
                    key = (row.workspace_id, row.webhook_id)
                    counts[key] = counts.get(key, 0) + 1
            webhooks.count_dropped(connection, [(*key, number) for key, number in sorted(counts.items())])
        return len(rows)

    dropped = chunks.repeat(lambda: part(_OLD, {"before_us": before_us}))
    return dropped + chunks.repeat(lambda: part(_LARGE, {"most": most_bytes}))


def _key(workspace_id: int, message: Message) -> dict[str, Any]:
    key = {"workspace_id": workspace_id, "pid": message.pid}
    return key | {"webhook_id": message.webhook_id, "id": message.id}


def _message(row: Any) -> Message:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's name for a row by its columns
    if isinstance(row.doc, str):
        values["doc"] = msgspec.json.decode(row.doc)
    return Message(**values)
