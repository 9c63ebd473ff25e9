"""The outbox of change webhooks: messages that wait, made of what batches changed, and deleted when taken.

The sender reads messages and writes its lease in one transaction whose commit waits for the disk. Whatever that
transaction saw was committed before it, and so were the changes that it is about: they are on the disk as well, and no
crash takes them back.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, bindparam, text

from app.domain.webhooks import DELETED, TEST, Webhook
from app.store import chunks, webhook_events, webhooks
from app.store.bulk import BulkWrite
from app.store.chunks import CHUNK
from app.store.engine import Database
from app.store.profiles.queries import Query
from app.store.tables import WebhookMessage

DUE: Final = "due"
DEAD: Final = "dead"
#: Whether it is told is not decided.
HELD: Final = "held"
STATES: Final = (DUE, DEAD)
#: Messages that failed of which the sender looks at; with more, no others are begun.
MOST_AGAIN: Final = 500

_WRITE: Final = BulkWrite(WebhookMessage, update=("types", "doc"))
_ADD: Final = BulkWrite(WebhookMessage)
_PEOPLE: Final = Query("profile", "t.pid, t.braze_id, t.external_id", "t.pid = {0}", numbers=(0,))
_MERGED_AWAY: Final = Query("merge_record", "t.merged_pid, t.merged_braze_id", "t.merged_pid = {0}", numbers=(0,))
_CORES: Final = Query("profile_core", "t.pid, t.doc", "t.pid = {0}", numbers=(0,))
_LAST_OF: Final = (
    "select (select m.n from webhook_message m where m.workspace_id = :workspace_id and m.webhook_id = w.id"
    " and m.state = '{}' order by m.n desc limit 1) as n from webhook w where w.workspace_id = :workspace_id"
)
_LAST: Final = text(f"select coalesce(max(n), 0) from ({_LAST_OF.format(DUE)} union all {_LAST_OF.format(HELD)}) x")
_NAMES: Final = (
    *("pid", "webhook_id", "id", "n", "stream", "seq", "us", "types", "doc", "state", "attempts", "due_us", "error"),
)
_FIELDS: Final = ", ".join(_NAMES)
_OF_WEBHOOK: Final = (
    f"select {_FIELDS} from webhook_message m where m.workspace_id = :workspace_id and m.webhook_id = :webhook_id"
)
_AGAIN: Final = text(f"{_OF_WEBHOOK} and m.state = 'due' and m.attempts > 0 order by m.n, m.seq limit :limit")
_FRESH: Final = text(f"{_OF_WEBHOOK} and m.state = 'due' and m.attempts = 0 order by m.n, m.seq limit :limit")
_HELD: Final = text(f"{_OF_WEBHOOK} and m.state = '{HELD}' order by m.n limit :limit")
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
_OLD: Final = text(
    "select workspace_id, pid, webhook_id, id from webhook_message where us < :before_us"
    f" /*here workspace_id*/ limit {CHUNK}"
)
#: Of each workspace the newest messages stay.
_LARGE: Final = text(
    f"""
    select workspace_id, pid, webhook_id, id from (
        select workspace_id, pid, webhook_id, id,
               sum(length(cast(doc as text)) + 250) over (partition by workspace_id order by n desc, id) as total
        from webhook_message where true /*here workspace_id*/
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


def last(connection: Connection, workspace_id: int) -> int:
    """The place of the last message that waits, 0 when none does."""
    return int(connection.execute(_LAST, {"workspace_id": workspace_id}).scalar_one())


def add(connection: Connection, workspace_id: int, messages: Iterable[Message]) -> None:
    """Keep messages. `webhook_events.lock` is held."""
    _WRITE.run(connection, workspace_id, [_row(message) for message in messages])


def _row(message: Message) -> dict[str, Any]:
    return {name: getattr(message, name) for name in _NAMES} | {"doc": dict(message.doc)}


def held(connection: Connection, workspace_id: int, webhook_id: str, limit: int) -> list[Message]:
    """The next messages of which it is to be decided whether they are told."""
    values = {"workspace_id": workspace_id, "webhook_id": webhook_id, "limit": limit}
    return [_message(row) for row in connection.execute(_HELD, values)]


def decide(connection: Connection, workspace_id: int, messages: Iterable[Message], told: Iterable[Message]) -> None:
    """Have those that are told sent, as they are now, and forget the others of `messages`."""
    delete(connection, workspace_id, messages)
    add(connection, workspace_id, told)


def erase(connection: Connection, workspace_id: int, pids: Collection[int]) -> None:
    """Of deleted people nobody is told anything any more, but that they are deleted.

    Part of the transaction that deletes, once their profiles are gone. `webhook_events.lock` is held.
    """
    if pids:
        connection.execute(_ERASE, {"workspace_id": workspace_id, "pids": sorted(pids)})


def add_test(connection: Connection, workspace_id: int, webhook_id: str, message_id: str, now_us: int) -> None:
    """Keep a message that says that it is a test."""
    message = Message(0, webhook_id, message_id, 0, 0, 0, now_us, TEST, {}, DUE, 0, now_us, "")
    _ADD.run(connection, workspace_id, [_row(message)])


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


def named(connection: Connection, workspace_id: int, pids: Iterable[int]) -> dict[int, tuple[str, str | None]]:
    """(braze_id, external id) of people by number, also of those who were merged away, who have no external id. Whoever
    was deleted is not among them."""
    keys = [[pid] for pid in sorted(pids)]
    if not keys:
        return {}
    found = {row.pid: (row.braze_id, row.external_id) for row in _PEOPLE.run(connection, workspace_id, keys)}
    if away := [key for key in keys if key[0] not in found]:
        for row in _MERGED_AWAY.run(connection, workspace_id, away):
            found[row.merged_pid] = row.merged_braze_id, None
    return found


def people(connection: Connection, workspace_id: int, pids: Iterable[int]) -> dict[int, Person]:
    """Who is there, by number."""
    keys = [[pid] for pid in sorted(pids)]
    if not keys:
        return {}
    rows = _PEOPLE.run(connection, workspace_id, keys)
    cores = _CORES.run(connection, workspace_id, [[row.pid] for row in rows]) if rows else ()
    sections = {pid: msgspec.json.decode(doc) if isinstance(doc, str) else doc for _, pid, doc in cores}
    return {row.pid: Person(row.braze_id, row.external_id, sections.get(row.pid) or {}) for row in rows}


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
    """Drop messages of before a time, and beyond a size of each workspace the oldest; and likewise events of which none
    were made yet. Returns how many."""

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

    dropped = webhook_events.trim(database, before_us, most_bytes)
    dropped += chunks.repeat(lambda: part(_OLD, {"before_us": before_us}))
    return dropped + chunks.repeat(lambda: part(_LARGE, {"most": most_bytes}))


def _key(workspace_id: int, message: Message) -> dict[str, Any]:
    key = {"workspace_id": workspace_id, "pid": message.pid}
    return key | {"webhook_id": message.webhook_id, "id": message.id}


def _message(row: Any) -> Message:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's name for a row by its columns
    if isinstance(row.doc, str):
        values["doc"] = msgspec.json.decode(row.doc)
    return Message(**values)
