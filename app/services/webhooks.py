"""Change webhooks: made, changed, looked at and tested by a workspace. Sweepers send: workers.webhook_messages."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from app.adapters import http_out, signing
from app.contract import webhooks as contract
from app.contract.errors import RefusedError
from app.domain.times import HOUR
from app.domain.webhooks import Webhook
from app.services import segments
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.refusals import TooManyWebhooksError, UnknownWebhookError
from app.store import outbox, watches, webhook_events
from app.store import webhooks as store
from app.store.engine import Database
from app.store.outbox import Message
from app.store.segments import saved
from app.store.segments.compile import TooBroadError

__all__ = ["Message", "Webhook", "WebhookSettings", "Webhooks"]

#: How long whoever makes a webhook of a segment waits until those who are inside are noted.
NOTING_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """What the installation allows."""

    #: Webhooks of a workspace.
    most: int
    #: Whether they may be at private addresses.
    allow_private: bool
    #: People of whom it is remembered that they are in the segments of a workspace's webhooks.
    most_members: int = 1_000_000


class Webhooks:
    """One per API process. All raise UnavailableError as well."""

    def __init__(
        self, database: Database, calls: StoreCalls, now_us: Callable[[], int], settings: WebhookSettings
    ) -> None:
        self._database = database
        self._calls = calls
        self._now_us = now_us
        self.settings = settings

    async def create(self, caller: Caller, fields: Mapping[str, Any]) -> Webhook:
        """As `create`."""
        now_us = self._now_us()
        return await self._calls.run(lambda: create(self._database, caller, fields, now_us, self.settings))

    async def change(self, caller: Caller, webhook_id: str, fields: Mapping[str, Any]) -> Webhook:
        """As `change`."""
        now_us = self._now_us()
        return await self._calls.run(lambda: change(self._database, caller, webhook_id, fields, now_us, self.settings))

    async def rotate(self, caller: Caller, webhook_id: str) -> Webhook:
        """As `rotate`."""
        now_us = self._now_us()
        return await self._calls.run(lambda: rotate(self._database, caller, webhook_id, now_us))

    async def delete(self, caller: Caller, webhook_id: str) -> None:
        """As `delete`."""
        await self._calls.run(lambda: delete(self._database, caller, webhook_id))

    async def listed(self, caller: Caller) -> list[Webhook]:
        """As `listed`."""
        return await self._calls.run(lambda: listed(self._database, caller))

    async def one(self, caller: Caller, webhook_id: str) -> Webhook:
        """As `one`."""
        return await self._calls.run(lambda: one(self._database, caller, webhook_id))

    async def test(self, caller: Caller, webhook_id: str) -> str:
        """As `test`."""
        now_us = self._now_us()
        return await self._calls.run(lambda: test(self._database, caller, webhook_id, now_us))

    async def messages(self, caller: Caller, webhook_id: str, state: str, limit: int) -> list[Message]:
        """As `messages`."""
        return await self._calls.run(lambda: messages(self._database, caller, webhook_id, state, limit))

    async def replay(self, caller: Caller, webhook_id: str) -> int:
        """As `replay`."""
        now_us = self._now_us()
        return await self._calls.run(lambda: replay(self._database, caller, webhook_id, now_us))


def create(
    database: Database, caller: Caller, fields: Mapping[str, Any], now_us: int, settings: WebhookSettings
) -> Webhook:
    """Make a webhook: it is told of what is applied from then on; `fields` as `contract.read_new` gives them.

    Of a segment, it is not told of those who are inside already. Raises RefusedError, TooManyWebhooksError.
    """
    _check_url(fields, settings)
    webhook = Webhook(
        workspace_id=caller.workspace_id,
        id=str(uuid4()),
        created_us=now_us,
        created_by=caller.key_name,
        secret=signing.new_secret(),
        **dict(fields),
    )
    try:
        store.create(database, webhook, settings.most)
    except store.TooManyWebhooksError as error:
        raise TooManyWebhooksError from error
    except store.NoSegmentError as error:
        raise RefusedError(400, contract.BAD_SEGMENT) from error
    return _watched(database, caller, webhook, now_us, settings)


def change(
    database: Database,
    caller: Caller,
    webhook_id: str,
    fields: Mapping[str, Any],
    now_us: int,
    settings: WebhookSettings,
) -> Webhook:
    """Change some of its fields; what waits goes out at once. With another segment, or switched on again, it is not
    told of those who are inside already. Raises RefusedError, UnknownWebhookError."""
    before = one(database, caller, webhook_id)
    contract.check(fields.get("events", before.events), fields.get("segment_id", before.segment_id))
    _check_url(fields, settings)
    try:
        with database.write() as connection:
            if not store.change(connection, caller.workspace_id, webhook_id, fields):
                raise UnknownWebhookError
    except store.NoSegmentError as error:
        raise RefusedError(400, contract.BAD_SEGMENT) from error
    return _watched(database, caller, one(database, caller, webhook_id), now_us, settings)


def rotate(database: Database, caller: Caller, webhook_id: str, now_us: int) -> Webhook:
    """Give it a new secret. Messages are signed with both for a day. Raises UnknownWebhookError."""
    former = one(database, caller, webhook_id).secret
    fields = {
        "secret": signing.new_secret(),
        "former_secret": former,
        "former_until_us": now_us + contract.FORMER_SECRET_HOURS * HOUR,
    }
    with database.write() as connection:
        if not store.change(connection, caller.workspace_id, webhook_id, fields):
            raise UnknownWebhookError
    return one(database, caller, webhook_id)


def delete(database: Database, caller: Caller, webhook_id: str) -> None:
    """Forget a webhook with all that it was not told yet. Raises UnknownWebhookError."""
    with database.write() as connection:
        if not store.delete(connection, caller.workspace_id, webhook_id):
            raise UnknownWebhookError


def listed(database: Database, caller: Caller) -> list[Webhook]:
    """All webhooks of the workspace, the oldest first."""
    with database.read() as connection:
        return store.listed(connection, caller.workspace_id)


def one(database: Database, caller: Caller, webhook_id: str) -> Webhook:
    """One webhook. Raises UnknownWebhookError."""
    with database.read() as connection:
        found = store.find(connection, caller.workspace_id, webhook_id)
    if found is None:
        raise UnknownWebhookError
    return found


def test(database: Database, caller: Caller, webhook_id: str, now_us: int) -> str:
    """Have a sweeper send a message that says that it is a test. Returns its id. Raises UnknownWebhookError."""
    one(database, caller, webhook_id)
    message_id = f"test_{uuid4().hex}"
    with database.write() as connection:
        outbox.add_test(connection, caller.workspace_id, webhook_id, message_id, now_us)
    return message_id


def messages(database: Database, caller: Caller, webhook_id: str, state: str, limit: int) -> list[Message]:
    """The oldest messages that were not taken, `due` or `dead`. Raises UnknownWebhookError."""
    one(database, caller, webhook_id)
    with database.read() as connection:
        return outbox.listed(connection, caller.workspace_id, webhook_id, state, limit)


def replay(database: Database, caller: Caller, webhook_id: str, now_us: int) -> int:
    """Have its dead messages sent again. Returns how many. Raises UnknownWebhookError."""
    one(database, caller, webhook_id)
    with database.write() as connection:
        number = outbox.replay(connection, caller.workspace_id, webhook_id, now_us)
        store.change(connection, caller.workspace_id, webhook_id, {})
    return number


def _watched(database: Database, caller: Caller, webhook: Webhook, now_us: int, settings: WebhookSettings) -> Webhook:
    """Note who is in the segment of a webhook already, for a moment; the sweeper does the rest of a large one."""
    if not webhook.segment_id or not webhook.enabled:
        return webhook
    ends = time.monotonic() + NOTING_SECONDS
    while time.monotonic() < ends:
        with database.write() as connection:
            webhook_events.lock(connection, caller.workspace_id)
            watch = watches.find(connection, caller.workspace_id, webhook.id)
            segment = saved.fetch(connection, caller.workspace_id, webhook.segment_id)
            if watch is None or watch.phase != watches.FILLING or segment is None:
                break
            try:
                definition = segments.definition(connection, caller.workspace_id, segment.definition)
                watches.fill(connection, watch, definition, now_us, settings.most_members)
            except TooBroadError:  # the sweeper says so
                break
    return one(database, caller, webhook.id)


def _check_url(fields: Mapping[str, Any], settings: WebhookSettings) -> None:
    url = fields.get("url")
    if url is not None and http_out.problem_of(url, allow_private=settings.allow_private) is not None:
        raise RefusedError(400, contract.BAD_URL)
