"""Alerts as they are kept, where they stand, and their messages.

Any number of sweepers look at the same alerts. Whoever moves an alert on says from which version of it; the database
lets one of them do so, and the message is stored in that transaction. Whoever sends a message moves its time on first,
again from what it was, and records the attempt by that. A sender that dies leaves the message due again at that time:
it is sent once normally, and at least once in any case, under the same id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, text

from app.domain.alerts import DUE, HELD_BACK, Alert, Standing
from app.domain.times import HOUR
from app.store.engine import Database

_NAMES: Final = (
    "id", "name", "metric", "above", "window_minutes", "for_seconds", "clear_seconds", "key_id", "endpoint", "channel",
    "targets", "enabled", "created_us", "created_by",
)  # fmt: skip
_COLUMNS: Final = f"workspace_id, {', '.join(_NAMES)}, state, since_us, version, value, checked_us"
#: What a change may set.
CHANGEABLE: Final = (frozenset(_NAMES) | {"secret"}) - {"id", "created_us", "created_by"}

#: Makers of alerts of one workspace wait for each other, so that the bound holds.
_LOCK: Final = text("select pg_advisory_xact_lock(727012, :workspace_id)")
_COUNT: Final = text("select count(*) from alert where workspace_id = :workspace_id")
_INSERT: Final = text(
    f"insert into alert ({_COLUMNS}, secret) values (:workspace_id, {', '.join(f':{name}' for name in _NAMES)},"
    " 'ok', :created_us, 0, null, 0, :secret)"
)
_LISTED: Final = text(f"select {_COLUMNS} from alert where workspace_id = :workspace_id order by created_us, id")
_ONE: Final = text(f"select {_COLUMNS} from alert where workspace_id = :workspace_id and id = :id")
_ENABLED: Final = text(f"select {_COLUMNS} from alert where enabled /*here workspace_id*/ order by workspace_id, id")
_SIGNED: Final = text("select secret <> '' from alert where workspace_id = :workspace_id and id = :id")
_DELETE: Final = text("delete from alert where workspace_id = :workspace_id and id = :id")
_NOTE: Final = text(
    "update alert set value = :value, checked_us = :now_us"
    " where workspace_id = :workspace_id and id = :id and checked_us <= :before_us"
)
_MOVE: Final = text(
    "update alert set state = :state, since_us = :since_us, version = :version, value = :value, checked_us = :now_us"
    " where workspace_id = :workspace_id and id = :id and version = :before"
)

_MESSAGE: Final = (
    "workspace_id, id, alert_id, us, said, channel, targets, doc, delivery, attempts, due_us, error, ended_us"
)
_SAY: Final = text(
    f"insert into alert_message ({_MESSAGE}, secret) values (:workspace_id, :id, :alert_id, :us, :said, :channel,"
    " :targets, :doc, :delivery, 0, :us, '', :ended_us, :secret)"
)
# By itself: nodes of Citus take no select within such an insert.
_SECRET: Final = text("select secret from alert where workspace_id = :workspace_id and id = :alert_id")
_LATELY: Final = text(
    "select count(*) from alert_message"
    f" where workspace_id = :workspace_id and us > :since_us and delivery <> '{HELD_BACK}'"
)
#: What went out in the last hour stays: it is what the bound of an hour counts.
_TRIM: Final = text(
    "delete from alert_message where workspace_id = :workspace_id"
    f" and (us <= :since_us or delivery = '{HELD_BACK}') and us < (select min(us) from"
    " (select us from alert_message where workspace_id = :workspace_id order by us desc limit :most) kept)"
)
_MESSAGES: Final = text(
    f"select {_MESSAGE} from alert_message where workspace_id = :workspace_id"
    " and (cast(:alert_id as text) is null or alert_id = :alert_id) order by us desc, id limit :limit"
)
_ONE_MESSAGE: Final = text(f"select {_MESSAGE} from alert_message where workspace_id = :workspace_id and id = :id")
#: The messages of an alert go out in their order.
_DUE: Final = text(
    f"""
    select {_MESSAGE}, secret from alert_message m where delivery = 'due' and due_us <= :now_us and not exists (
        select 1 from alert_message e where e.workspace_id = m.workspace_id and e.alert_id = m.alert_id
        and e.delivery = 'due' and e.us < m.us /*here e.workspace_id*/) /*here m.workspace_id*/
    order by due_us limit :limit
    """
)
_CLAIM: Final = text(
    "update alert_message set due_us = :until_us, attempts = attempts + 1"
    " where workspace_id = :workspace_id and id = :id and delivery = 'due' and due_us = :due_us"
)
_END: Final = text(
    "update alert_message set delivery = :delivery, due_us = :due_us, error = :error, ended_us = :ended_us,"
    " secret = case when :delivery = 'due' then secret else '' end"
    " where workspace_id = :workspace_id and id = :id and delivery = 'due'"
)


class TooManyAlertsError(ValueError):
    """The workspace has as many alerts as it may have."""


@dataclass(frozen=True, slots=True)
class Message:
    """As in the table."""

    workspace_id: int
    id: str
    alert_id: str
    us: int
    said: str
    channel: str
    targets: tuple[str, ...]
    doc: Mapping[str, Any]
    delivery: str
    attempts: int
    due_us: int
    error: str
    ended_us: int | None
    #: What it is signed with; read for whoever sends it alone.
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of the messages of one workspace: how many go out in an hour, and how many are kept."""

    an_hour: int
    kept: int


def create(database: Database, alert: Alert, most: int) -> None:
    """Keep a new alert. Raises TooManyAlertsError when the workspace has `most`."""
    values = {name: getattr(alert, name) for name in _NAMES}
    values |= {"workspace_id": alert.workspace_id, "targets": _encoded(alert.targets), "secret": alert.secret}
    with database.write() as connection:
        if database.is_postgresql:
            connection.execute(_LOCK, {"workspace_id": alert.workspace_id})
        if connection.execute(_COUNT, {"workspace_id": alert.workspace_id}).scalar_one() >= most:
            raise TooManyAlertsError
        connection.execute(_INSERT, values)


def change(connection: Connection, alert: Alert, values: Mapping[str, Any], now_us: int) -> bool:
    """Change some of an alert's fields. It begins anew, as `ok`. False when it was changed meanwhile."""
    if not values.keys() <= CHANGEABLE:
        raise ValueError("no such field")
    written = {name: _encoded(value) if name == "targets" else value for name, value in values.items()}
    assigned = "".join(f"{name} = :{name}, " for name in written)
    statement = text(
        f"update alert set {assigned}state = 'ok', since_us = :now_us, version = version + 1, value = null"
        " where workspace_id = :workspace_id and id = :id and version = :before"
    )
    place = {"workspace_id": alert.workspace_id, "id": alert.id, "before": alert.standing.version, "now_us": now_us}
    return connection.execute(statement, {**written, **place}).rowcount > 0


def delete(connection: Connection, workspace_id: int, alert_id: str) -> bool:
    """Forget an alert. Its messages stay, and go out if they are due. False when there is none of this id."""
    return connection.execute(_DELETE, {"workspace_id": workspace_id, "id": alert_id}).rowcount > 0


def listed(connection: Connection, workspace_id: int) -> list[Alert]:
    """All alerts of a workspace, the oldest first."""
    return [_alert(row) for row in connection.execute(_LISTED, {"workspace_id": workspace_id})]


def find(connection: Connection, workspace_id: int, alert_id: str) -> Alert | None:
    """One alert."""
    row = connection.execute(_ONE, {"workspace_id": workspace_id, "id": alert_id}).one_or_none()
    return None if row is None else _alert(row)


def is_signed(connection: Connection, alert: Alert) -> bool:
    """Whether the alert has a secret. Nobody but the sender of its messages reads it again."""
    place = {"workspace_id": alert.workspace_id, "id": alert.id}
    return bool(connection.execute(_SIGNED, place).scalar())


def enabled(connection: Connection) -> list[Alert]:
    """All alerts that are to be looked at."""
    return [_alert(row) for row in connection.execute(_ENABLED)]


def note(connection: Connection, alert: Alert, value: int, now_us: int, before_us: int) -> None:
    """Remember the number of an alert, unless one was noted since `before_us`."""
    values = {"workspace_id": alert.workspace_id, "id": alert.id, "value": value}
    connection.execute(_NOTE, {**values, "now_us": now_us, "before_us": before_us})


def move(connection: Connection, alert: Alert, standing: Standing, value: int, now_us: int) -> bool:
    """Move an alert on. False when somebody else has, or it was changed or deleted: then nothing is to be said."""
    values = {
        "workspace_id": alert.workspace_id,
        "id": alert.id,
        "state": standing.state,
        "since_us": standing.since_us,
        "version": standing.version,
        "before": alert.standing.version,
        "value": value,
        "now_us": now_us,
    }
    return connection.execute(_MOVE, values).rowcount > 0


def say(
    connection: Connection,
    alert: Alert,
    message_id: str,
    said: str,
    doc: Mapping[str, Any],
    now_us: int,
    bounds: Bounds,
) -> str:
    """Keep a message, which is due at once; DUE, or HELD_BACK when the workspace has sent too many lately."""
    place = {"workspace_id": alert.workspace_id}
    hour = {**place, "since_us": now_us - HOUR}
    lately = connection.execute(_LATELY, hour).scalar_one()
    delivery = DUE if lately < bounds.an_hour else HELD_BACK
    values = {
        "id": message_id,
        "alert_id": alert.id,
        "us": now_us,
        "said": said,
        "channel": alert.channel,
        "targets": _encoded(alert.targets),
        "doc": _encoded(doc),
        "delivery": delivery,
        "ended_us": None if delivery == DUE else now_us,
    }
    values |= place
    secret = connection.execute(_SECRET, values).scalar() if delivery == DUE else None
    connection.execute(_SAY, {**values, "secret": secret or ""})
    connection.execute(_TRIM, {**hour, "most": bounds.kept})
    return delivery


def messages(connection: Connection, workspace_id: int, limit: int, alert_id: str | None = None) -> list[Message]:
    """The newest messages of a workspace, of one alert or of all, newest first."""
    values = {"workspace_id": workspace_id, "alert_id": alert_id, "limit": limit}
    return [_message(row) for row in connection.execute(_MESSAGES, values)]


def message(connection: Connection, workspace_id: int, message_id: str) -> Message | None:
    """One message."""
    row = connection.execute(_ONE_MESSAGE, {"workspace_id": workspace_id, "id": message_id}).one_or_none()
    return None if row is None else _message(row)


def due(connection: Connection, now_us: int, limit: int) -> list[Message]:
    """Messages that are to be sent now: of each alert the oldest."""
    return [_message(row) for row in connection.execute(_DUE, {"now_us": now_us, "limit": limit})]


def claim(connection: Connection, found: Message, until_us: int) -> bool:
    """Record an attempt at sending a message, which is nobody else's before `until_us`. False when somebody has it."""
    values = {"workspace_id": found.workspace_id, "id": found.id, "due_us": found.due_us, "until_us": until_us}
    return connection.execute(_CLAIM, values).rowcount > 0


def end(connection: Connection, found: Message, delivery: str, error: str, now_us: int, due_us: int) -> None:
    """Record what came of an attempt. A message that is still DUE is tried again at `due_us`."""
    values = {
        "workspace_id": found.workspace_id,
        "id": found.id,
        "delivery": delivery,
        "error": error,
        "due_us": due_us,
        "ended_us": None if delivery == DUE else now_us,
    }
    connection.execute(_END, values)


def _alert(row: Any) -> Alert:
    return Alert(
        workspace_id=row.workspace_id,
        **{name: getattr(row, name) for name in _NAMES if name not in ("targets", "enabled")},
        targets=tuple(_decoded(row.targets)),
        enabled=bool(row.enabled),
        standing=Standing(row.state, row.since_us, row.version),
        value=row.value,
        checked_us=row.checked_us,
    )


def _message(row: Any) -> Message:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's name for a row by its columns
    values |= {"targets": tuple(_decoded(row.targets)), "doc": _decoded(row.doc)}
    return Message(**values)


def _encoded(value: Sequence[str] | Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()


def _decoded(stored: Any) -> Any:
    """A document as the driver gives it: text on SQLite."""
    return msgspec.json.decode(stored) if isinstance(stored, str) else stored
