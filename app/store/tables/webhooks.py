"""Change webhooks, and the messages that wait for them."""

from typing import Any

from sqlalchemy import Index
from sqlmodel import SQLModel

from app.store.tables.columns import big, document, flag, partial_index, small, text


class WebhookRow(SQLModel, table=True):
    """Who is told of changes: app.domain.webhooks.Webhook."""

    __tablename__ = "webhook"

    workspace_id: int = big(key=True)
    id: str = text(key=True)
    url: str = text()
    events: list[str] = document()
    with_profile: bool = flag()
    enabled: bool = flag()
    created_us: int = big()
    created_by: str = text()
    secret: str = text()
    former_secret: str = text()
    former_until_us: int = big()
    failures: int = big()
    rests_until_us: int = big()
    error: str = text()
    delivered_us: int = big()
    dropped: int = big()
    #: Whoever moves it on sends.
    lease_us: int = big()
    #: Whom it is about; "" = everybody.
    segment_id: str = text(default="")


class WebhookEvents(SQLModel, table=True):
    """What batches changed, of which messages are still to be made: see app.store.webhook_events."""

    __tablename__ = "webhook_event"

    workspace_id: int = big(key=True)
    #: They are told in this order.
    n: int = big(key=True)
    #: Of the last event; where the row is a part of a request, of all.
    stream: int = small()
    seq: int = big()
    part: bool = flag()
    #: Of the first event.
    us: int = big()
    #: JSON text: an array of events. Of a deleted profile it has the braze_id and the external id.
    doc: str = text()


class WebhookMessage(SQLModel, table=True):
    """The outbox: an event that a webhook is still to be told of, or could not be. What was taken is gone."""

    __tablename__ = "webhook_message"
    __table_args__ = (
        partial_index("webhook_message_due", "workspace_id", "webhook_id", "n", where="state = 'due'"),
        partial_index(
            "webhook_message_again", "workspace_id", "webhook_id", "n", where="state = 'due' and attempts > 0"
        ),
        partial_index("webhook_message_held", "workspace_id", "webhook_id", "n", where="state = 'held'"),
        partial_index("webhook_message_dead", "workspace_id", "webhook_id", "n", where="state = 'dead'"),
        Index("webhook_message_us", "us"),
    )

    workspace_id: int = big(key=True)
    #: Whose event it is; 0 = nobody's.
    pid: int = big(key=True)
    webhook_id: str = text(key=True)
    #: The receiver knows an event by it that arrives twice.
    id: str = text(key=True)
    #: Messages about one profile go out in this order.
    n: int = big()
    stream: int = big()
    seq: int = big()
    us: int = big()
    types: int = big()
    #: {"braze_id", "external_id", "changed", "others": [number, …]}
    doc: dict[str, Any] = document()
    #: `due` or `dead`; or `held`: whether it is told depends on the segment of the webhook.
    state: str = text()
    attempts: int = big()
    due_us: int = big()
    #: Why the last attempt failed.
    error: str = text()


class WebhookWatch(SQLModel, table=True):
    """How far the segment of a webhook is watched: app.store.watches.Watch."""

    __tablename__ = "webhook_watch"

    workspace_id: int = big(key=True)
    webhook_id: str = text(key=True)
    phase: int = small()
    #: JSON text.
    definition: str = text()
    pid: int = big()
    swept_us: int = big()
    members: int = big()


class WebhookMember(SQLModel, table=True):
    """Somebody who was in the segment of a webhook when that was looked at last."""

    __tablename__ = "webhook_member"
    __table_args__ = (Index("webhook_member_pid", "workspace_id", "pid"),)

    workspace_id: int = big(key=True)
    webhook_id: str = text(key=True)
    pid: int = big(key=True)
