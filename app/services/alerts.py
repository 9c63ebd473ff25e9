"""Alerts: made, changed, looked at and tested; by a workspace about itself, or by the operator of the installation.

Sweepers look at them and send their messages: workers.alerts, workers.alert_messages.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from app.adapters import http_out, signing
from app.contract import alerts as contract
from app.contract.errors import RefusedError
from app.domain.alerts import EMAIL, HELD_BACK, INSTALLATION, TEST, WEBHOOK, Alert
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.refusals import AlertChangedError, TooManyAlertsError, TooManyMessagesError, UnknownAlertError
from app.store import alerts as store
from app.store.alerts import Bounds, Message
from app.store.engine import Database

__all__ = ["Alert", "AlertSettings", "Alerts", "Bounds", "Message", "Owner"]


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose alerts: those of a workspace, or of the installation. `by` is who makes them, for the list."""

    workspace_id: int
    name: str
    by: str

    @classmethod
    def of(cls, caller: Caller) -> "Owner":
        """The caller's workspace."""
        return cls(caller.workspace_id, caller.workspace_name, caller.key_name)

    @classmethod
    def installation(cls, by: str) -> "Owner":
        """The operator of the installation."""
        return cls(INSTALLATION, "", by)


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """What the installation allows."""

    #: Alerts of a workspace.
    most: int
    bounds: Bounds
    #: Whether webhooks may be at private addresses.
    allow_private: bool
    #: Whether there is a mail server.
    mail: bool
    #: How messages name the installation.
    server: str


class Alerts:
    """One per API process."""

    def __init__(
        self, database: Database, calls: StoreCalls, now_us: Callable[[], int], settings: AlertSettings
    ) -> None:
        self._database = database
        self._calls = calls
        self._now_us = now_us
        self.settings = settings

    async def create(self, caller: Caller, fields: Mapping[str, Any]) -> Alert:
        """As `create`. Raises UnavailableError as well."""
        owner, now_us = Owner.of(caller), self._now_us()
        return await self._calls.run(lambda: create(self._database, owner, fields, now_us, self.settings))

    async def change(self, caller: Caller, alert_id: str, fields: Mapping[str, Any]) -> Alert:
        """As `change`. Raises UnavailableError as well."""
        owner, now_us = Owner.of(caller), self._now_us()
        return await self._calls.run(lambda: change(self._database, owner, alert_id, fields, now_us, self.settings))

    async def delete(self, caller: Caller, alert_id: str) -> None:
        """As `delete`. Raises UnavailableError as well."""
        await self._calls.run(lambda: delete(self._database, Owner.of(caller), alert_id))

    async def listed(self, caller: Caller) -> list[Alert]:
        """As `listed`. Raises UnavailableError as well."""
        return await self._calls.run(lambda: listed(self._database, Owner.of(caller)))

    async def one(self, caller: Caller, alert_id: str) -> Alert:
        """As `one`. Raises UnavailableError as well."""
        return await self._calls.run(lambda: one(self._database, Owner.of(caller), alert_id))

    async def test(self, caller: Caller, alert_id: str) -> Message:
        """As `test`. Raises UnavailableError as well."""
        owner, now_us = Owner.of(caller), self._now_us()
        return await self._calls.run(lambda: test(self._database, owner, alert_id, now_us, self.settings))

    async def messages(self, caller: Caller, alert_id: str | None, limit: int) -> list[Message]:
        """As `messages`. Raises UnavailableError as well."""
        return await self._calls.run(lambda: messages(self._database, Owner.of(caller), alert_id, limit))


def create(database: Database, owner: Owner, fields: Mapping[str, Any], now_us: int, settings: AlertSettings) -> Alert:
    """Make an alert; `fields` as `contract.read_new` gives them. Raises RefusedError, TooManyAlertsError.

    One with a webhook has its secret, which nobody is told again.
    """
    _check_targets(fields, settings)
    alert = Alert(
        workspace_id=owner.workspace_id,
        id=str(uuid4()),
        created_us=now_us,
        created_by=owner.by,
        secret=signing.new_secret() if fields["channel"] == WEBHOOK else "",
        **dict(fields),
    )
    try:
        store.create(database, alert, settings.most)
    except store.TooManyAlertsError as error:
        raise TooManyAlertsError from error
    return replace(one(database, owner, alert.id), secret=alert.secret)


def change(
    database: Database,
    owner: Owner,
    alert_id: str,
    fields: Mapping[str, Any],
    now_us: int,
    settings: AlertSettings,
) -> Alert:
    """Change some of its fields; it begins anew. Raises RefusedError, UnknownAlertError, AlertChangedError.

    With `new_secret`, or a webhook and no secret yet, it gets a secret, which nobody is told again.
    """
    _check_targets(fields, settings)
    wanted, secret = {name: value for name, value in fields.items() if name != "new_secret"}, ""
    with database.write() as connection:
        alert = store.find(connection, owner.workspace_id, alert_id)
        if alert is None:
            raise UnknownAlertError
        together = {name: getattr(alert, name) for name in ("metric", "key_id", "endpoint", "channel")} | dict(fields)
        contract.check_together(together, installation=owner.workspace_id == INSTALLATION)
        if "new_secret" in fields or (together["channel"] == WEBHOOK and not store.is_signed(connection, alert)):
            secret = wanted["secret"] = signing.new_secret()
        if not store.change(connection, alert, wanted, now_us):
            raise AlertChangedError
    return replace(one(database, owner, alert_id), secret=secret)


def delete(database: Database, owner: Owner, alert_id: str) -> None:
    """Forget an alert; messages that are due still go out. Raises UnknownAlertError."""
    with database.write() as connection:
        if not store.delete(connection, owner.workspace_id, alert_id):
            raise UnknownAlertError


def listed(database: Database, owner: Owner) -> list[Alert]:
    """All alerts with where they stand, the oldest first."""
    with database.read() as connection:
        return store.listed(connection, owner.workspace_id)


def one(database: Database, owner: Owner, alert_id: str) -> Alert:
    """One alert. Raises UnknownAlertError."""
    with database.read() as connection:
        found = store.find(connection, owner.workspace_id, alert_id)
    if found is None:
        raise UnknownAlertError
    return found


def test(database: Database, owner: Owner, alert_id: str, now_us: int, settings: AlertSettings) -> Message:
    """Have a sweeper send a message that says that it is a test. Raises UnknownAlertError, TooManyMessagesError."""
    alert, message_id = one(database, owner, alert_id), str(uuid4())
    doc = contract.message(
        alert, message_id, TEST, now_us, value=alert.value, server=settings.server, workspace=owner.name
    )
    with database.write() as connection:
        if store.say(connection, alert, message_id, TEST, doc, now_us, settings.bounds) == HELD_BACK:
            raise TooManyMessagesError  # which takes the message back
    with database.read() as connection:
        found = store.message(connection, owner.workspace_id, message_id)
    if found is None:  # the alerts said a lot meanwhile
        raise TooManyMessagesError
    return found


def messages(database: Database, owner: Owner, alert_id: str | None, limit: int) -> list[Message]:
    """The newest messages, of one alert or of all, newest first."""
    with database.read() as connection:
        return store.messages(connection, owner.workspace_id, limit, alert_id)


def message(database: Database, owner: Owner, message_id: str) -> Message | None:
    """One message."""
    with database.read() as connection:
        return store.message(connection, owner.workspace_id, message_id)


def _check_targets(fields: Mapping[str, Any], settings: AlertSettings) -> None:
    channel = fields.get("channel")
    if channel == EMAIL and not settings.mail:
        raise RefusedError(400, contract.NO_MAIL)
    if channel == WEBHOOK:
        (url,) = fields["targets"]
        if http_out.problem_of(url, allow_private=settings.allow_private) is not None:
            raise RefusedError(400, contract.BAD_WEBHOOK)
