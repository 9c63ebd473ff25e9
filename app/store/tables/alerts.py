"""Alerts, and the messages that they send."""

from typing import Any

from sqlalchemy import Index
from sqlmodel import SQLModel

from app.store.tables.columns import big, document, flag, partial_index, text


class AlertRow(SQLModel, table=True):
    """An alert and where it stands: app.domain.alerts. `workspace_id` 0 = one of the installation."""

    __tablename__ = "alert"

    workspace_id: int = big(key=True)
    id: str = text(key=True)
    name: str = text()
    metric: str = text()
    above: int = big()
    window_minutes: int = big()
    for_seconds: int = big()
    clear_seconds: int = big()
    key_id: str = text()
    endpoint: str = text()
    channel: str = text()
    targets: list[str] = document()
    enabled: bool = flag()
    created_us: int = big()
    created_by: str = text()
    state: str = text()
    since_us: int = big()
    #: Grows with each change of the state, and of the alert.
    version: int = big()
    value: int | None = big(nullable=True)
    checked_us: int = big()
    #: Signs what a webhook is told; "" = an alert of before, whose messages are not signed, or one without a webhook.
    secret: str = text(default="")


class AlertMessage(SQLModel, table=True):
    """What an alert says, and the attempts at sending it. Whoever moves `due_us` on sends it."""

    __tablename__ = "alert_message"
    __table_args__ = (
        Index("alert_message_us", "workspace_id", "us"),
        partial_index("alert_message_due", "due_us", where="delivery = 'due'"),
    )

    workspace_id: int = big(key=True)
    #: The receiver knows a message by it that arrives twice.
    id: str = text(key=True)
    alert_id: str = text()
    us: int = big()
    said: str = text()
    channel: str = text()
    targets: list[str] = document()
    #: What is sent, so that every attempt sends the same.
    doc: dict[str, Any] = document()
    delivery: str = text()
    attempts: int = big()
    due_us: int = big()
    #: Why the last attempt failed.
    error: str = text()
    ended_us: int | None = big(nullable=True)
    #: The alert's, while the message is due: it is signed as well when the alert is gone.
    secret: str = text(default="")
