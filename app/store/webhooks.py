"""Change webhooks of a workspace: kept, changed, and how they fare."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, text

from app.domain.webhooks import Webhook
from app.store.engine import Database

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
)
#: What its owner may change.
CHANGEABLE: Final = frozenset(
    ("url", "events", "with_profile", "enabled", "secret", "former_secret", "former_until_us")
)
_COLUMNS: Final = ", ".join(_NAMES)

# PostgreSQL would let two create the last one that is allowed.
_LOCK: Final = text("select pg_advisory_xact_lock(727011, cast(:workspace_id as integer))")
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
                and m.state = 'due')
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
_DROPPED: Final = text("update webhook set dropped = dropped + :number where workspace_id = :workspace_id and id = :id")


class TooManyWebhooksError(ValueError):
    """The workspace has as many webhooks as it may have."""


def create(database: Database, webhook: Webhook, most: int) -> None:
    """Keep a new webhook. Raises TooManyWebhooksError when the workspace has `most`."""
    values = {name: getattr(webhook, name) for name in _NAMES} | {"events": _encoded(webhook.events)}
    with database.write() as connection:
        if database.is_postgresql:
            connection.execute(_LOCK, {"workspace_id": webhook.workspace_id})
        if connection.execute(_COUNT, {"workspace_id": webhook.workspace_id}).scalar_one() >= most:
            raise TooManyWebhooksError
        connection.execute(_INSERT, values)


def change(connection: Connection, workspace_id: int, webhook_id: str, values: Mapping[str, Any]) -> bool:
    """Change some of its fields; it rests no longer. False when there is none of this id."""
    if not values.keys() <= CHANGEABLE:
        raise ValueError("no such field")
    written = {name: _encoded(value) if name == "events" else value for name, value in values.items()}
    assigned = "".join(f"{name} = :{name}, " for name in written)
    statement = text(
        f"update webhook set {assigned}failures = 0, rests_until_us = 0 where workspace_id = :workspace_id and id = :id"
    )
    return connection.execute(statement, {**written, "workspace_id": workspace_id, "id": webhook_id}).rowcount > 0


def delete(connection: Connection, workspace_id: int, webhook_id: str) -> bool:
    """Forget a webhook with all messages that wait for it. False when there is none of this id."""
    values = {"workspace_id": workspace_id, "id": webhook_id}
    deleted = connection.execute(_DELETE, values).rowcount > 0
    connection.execute(_DELETE_MESSAGES, values)
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
