"""Change webhooks of a workspace: kept, changed, and how they fare."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, text

from app.domain.webhooks import Webhook
from app.store.engine import Database
from app.store.segments import saved

_NAMES: Final = (
    "workspace_id",
    "id",
    "url",
    "events",
    "with_profile",
    "enabled",
    "created_us",
    "created_by",
    "secret",
    "former_secret",
    "former_until_us",
    "failures",
    "rests_until_us",
    "error",
    "delivered_us",
    "dropped",
    "lease_us",
    "segment_id",
)
#: What its owner may change.
CHANGEABLE: Final = frozenset(
    ("url", "events", "with_profile", "enabled", "secret", "former_secret", "former_until_us", "segment_id")
)
_COLUMNS: Final = ", ".join(_NAMES)

_COUNT: Final = text("select count(*) from webhook where workspace_id = :workspace_id")
_INSERT: Final = text(f"insert into webhook ({_COLUMNS}) values ({', '.join(':' + name for name in _NAMES)})")
_LISTED: Final = text(f"select {_COLUMNS} from webhook where workspace_id = :workspace_id order by created_us, id")
_ONE: Final = text(f"select {_COLUMNS} from webhook where workspace_id = :workspace_id and id = :id")
_DELETE: Final = text("delete from webhook where workspace_id = :workspace_id and id = :id")
_DELETE_MESSAGES: Final = text("delete from webhook_message where workspace_id = :workspace_id and webhook_id = :id")
#: Those that have something to send, and are neither resting nor served by somebody.
_READY: Final = text(
    f"""
    select {_COLUMNS} from webhook w where enabled and rests_until_us <= :now_us and lease_us <= :now_us
    and exists (select 1 from webhook_message m where m.workspace_id = w.workspace_id and m.webhook_id = w.id
                and m.state = 'due' /*here m.workspace_id*/) /*here w.workspace_id*/
    order by lease_us, created_us limit :limit
    """
)
_LEASE: Final = text(
    "update webhook set lease_us = :until_us where workspace_id = :workspace_id and id = :id and lease_us = :before"
    " and enabled"
)
_TAKEN: Final = text(
    "update webhook set lease_us = 0, failures = :failures, rests_until_us = :rests_until_us, error = :error,"
    " delivered_us = case when :delivered_us > delivered_us then :delivered_us else delivered_us end"
    " where workspace_id = :workspace_id and id = :id"
)
_OF_SEGMENT: Final = text(
    "select id from webhook where workspace_id = :workspace_id and segment_id = :segment_id limit 1"
)
_STOP: Final = text(
    "update webhook set enabled = false, error = :error where workspace_id = :workspace_id and id = :id"
)
#: What was remembered for a webhook is not true any more: app.store.watches begins anew, once it has removed it.
_END_WATCH: Final = (
    text("delete from webhook_message where workspace_id = :workspace_id and webhook_id = :id and state = 'held'"),
    text("update webhook_watch set phase = 0, pid = -1 where workspace_id = :workspace_id and webhook_id = :id"),
)
_BEGIN_WATCH: Final = text(
    "insert into webhook_watch (workspace_id, webhook_id, phase, definition, pid, swept_us, members)"
    " select workspace_id, id, 1, '', -1, 0, 0 from webhook"
    " where workspace_id = :workspace_id and id = :id and enabled and segment_id <> '' on conflict do nothing"
)
_DROPPED: Final = text("update webhook set dropped = dropped + :number where workspace_id = :workspace_id and id = :id")


class TooManyWebhooksError(ValueError):
    """The workspace has as many webhooks as it may have."""


class NoSegmentError(ValueError):
    """A webhook is to be about a segment that is not there."""


def create(database: Database, webhook: Webhook, most: int) -> None:
    """Keep a new webhook. Raises TooManyWebhooksError when the workspace has `most`, NoSegmentError."""
    values = {name: getattr(webhook, name) for name in _NAMES} | {"events": _encoded(webhook.events)}
    with database.write() as connection:
        saved.lock(connection, webhook.workspace_id)  # PostgreSQL would let two create the last one that is allowed
        if connection.execute(_COUNT, {"workspace_id": webhook.workspace_id}).scalar_one() >= most:
            raise TooManyWebhooksError
        _check_segment(connection, webhook.workspace_id, webhook.segment_id)
        connection.execute(_INSERT, values)
        connection.execute(_BEGIN_WATCH, {"workspace_id": webhook.workspace_id, "id": webhook.id})


def change(connection: Connection, workspace_id: int, webhook_id: str, values: Mapping[str, Any]) -> bool:
    """Change some of its fields; it rests no longer. False when there is none of this id. Raises NoSegmentError."""
    if not values.keys() <= CHANGEABLE:
        raise ValueError("no such field")
    written = {name: _encoded(value) if name == "events" else value for name, value in values.items()}
    assigned = "".join(f"{name} = :{name}, " for name in written)
    statement = text(
        f"update webhook set {assigned}failures = 0, rests_until_us = 0 where workspace_id = :workspace_id and id = :id"
    )
    key = {"workspace_id": workspace_id, "id": webhook_id}
    if values.keys() & {"enabled", "segment_id"}:
        saved.lock(connection, workspace_id)
        _check_segment(connection, workspace_id, values.get("segment_id", ""))
        before = find(connection, workspace_id, webhook_id)
        if before is not None and any(getattr(before, name) != value for name, value in _watched(values)):
            _end_watch(connection, key)
    changed = connection.execute(statement, {**written, **key}).rowcount > 0
    connection.execute(_BEGIN_WATCH, key)
    return changed


def _check_segment(connection: Connection, workspace_id: int, segment_id: str) -> None:
    """With the lock of the workspace's segments, so that it stays there."""
    if segment_id and ("\0" in segment_id or saved.fetch(connection, workspace_id, segment_id) is None):
        raise NoSegmentError


def _watched(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in values.items() if name in ("enabled", "segment_id")]


def _end_watch(connection: Connection, key: Mapping[str, Any]) -> None:
    for statement in _END_WATCH:
        connection.execute(statement, key)


def stop(connection: Connection, workspace_id: int, webhook_id: str, error: str) -> None:
    """Switch a webhook off, and say why."""
    key = {"workspace_id": workspace_id, "id": webhook_id}
    connection.execute(_STOP, {**key, "error": error})
    _end_watch(connection, key)


def has_segment(connection: Connection, workspace_id: int, segment_id: str) -> bool:
    """Whether a webhook is about a segment."""
    key = {"workspace_id": workspace_id, "segment_id": segment_id}
    return connection.execute(_OF_SEGMENT, key).one_or_none() is not None


def delete(connection: Connection, workspace_id: int, webhook_id: str) -> bool:
    """Forget a webhook with all messages that wait for it. False when there is none of this id."""
    values = {"workspace_id": workspace_id, "id": webhook_id}
    deleted = connection.execute(_DELETE, values).rowcount > 0
    connection.execute(_DELETE_MESSAGES, values)
    _end_watch(connection, values)
    return deleted


def listed(connection: Connection, workspace_id: int) -> list[Webhook]:
    """All webhooks of a workspace, the oldest first."""
    return [_webhook(row) for row in connection.execute(_LISTED, {"workspace_id": workspace_id})]


def find(connection: Connection, workspace_id: int, webhook_id: str) -> Webhook | None:
    """One webhook."""
    row = connection.execute(_ONE, {"workspace_id": workspace_id, "id": webhook_id}).one_or_none()
    return None if row is None else _webhook(row)


def ready(connection: Connection, now_us: int, limit: int) -> list[Webhook]:
    """Webhooks to which something is to be sent now, those first that were served longest ago."""
    return [_webhook(row) for row in connection.execute(_READY, {"now_us": now_us, "limit": limit})]


def lease(connection: Connection, webhook: Webhook, until_us: int) -> bool:
    """Begin to send: nobody else does before `until_us`. False when somebody has begun."""
    values = {"workspace_id": webhook.workspace_id, "id": webhook.id, "before": webhook.lease_us}
    return connection.execute(_LEASE, {**values, "until_us": until_us}).rowcount > 0


def end_lease(
    connection: Connection, webhook: Webhook, failures: int, rests_until_us: int, error: str, delivered_us: int
) -> None:
    """Note how it went. `delivered_us`: when the last message was taken, 0 = none was."""
    values: dict[str, Any] = {"workspace_id": webhook.workspace_id, "id": webhook.id, "failures": failures}
    values |= {"rests_until_us": rests_until_us, "error": error, "delivered_us": delivered_us}
    connection.execute(_TAKEN, values)


def count_dropped(connection: Connection, numbers: Sequence[tuple[int, str, int]]) -> None:
    """(workspace, webhook, how many) messages that nobody is told any more."""
    for workspace_id, webhook_id, number in numbers:
        connection.execute(_DROPPED, {"workspace_id": workspace_id, "id": webhook_id, "number": number})


def _webhook(row: Any) -> Webhook:
    values = {name: getattr(row, name) for name in _NAMES}
    events = msgspec.json.decode(row.events) if isinstance(row.events, str) else row.events
    flags = {name: bool(values[name]) for name in ("with_profile", "enabled")}
    return Webhook(**{**values, **flags, "events": tuple(events)})


def _encoded(value: Sequence[str]) -> str:
    return msgspec.json.encode(value).decode()
