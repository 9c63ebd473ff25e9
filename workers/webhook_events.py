"""Messages of change webhooks are made here, of what batches changed: in order, each once."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog

from app.domain import ids
from app.domain.webhooks import DELETED, LEFT, MAX_CHANGED, ProfileEvent, Webhook
from app.store import outbox, webhook_events, webhooks
from app.store.engine import DATABASE_ERRORS, Database
from app.store.outbox import DUE, HELD, Message

log = structlog.get_logger()

INTERVAL_S: Final = 0.2
#: After this long another workspace has its turn.
TURN_SECONDS: Final = 2.0


class EventTeller:
    """Works in a thread of the sweeper's process. Of several, one at a time works for a workspace."""

    def __init__(self, database: Database, now_us: Callable[[], int], secret: Callable[[int], bytes]) -> None:
        """`secret` gives the id key of a workspace."""
        self._database = database
        self._now_us = now_us
        self._secret = secret

    def run(self, stop: threading.Event) -> None:
        """Work until `stop`. An outage of the database is waited out."""
        while not stop.wait(INTERVAL_S):
            try:
                self.tell(stop)
            except DATABASE_ERRORS as error:
                log.warning("webhook_events_not_told", error=type(error).__name__)

    def tell(self, stop: threading.Event | None = None) -> int:
        """Make all messages that can be made now, of each workspace for some time. Returns of how many events."""
        with self._database.read() as connection:
            workspaces = webhook_events.workspaces(connection)
        told = 0
        for workspace_id in workspaces:
            ends = time.monotonic() + TURN_SECONDS
            while (stop is None or not stop.is_set()) and (number := self._portion(workspace_id)):
                told += number
                if time.monotonic() > ends:
                    break
        return told

    def _portion(self, workspace_id: int) -> int:
        with self._database.write() as connection:
            if not webhook_events.try_lock(connection, workspace_id):
                return 0
            portion = webhook_events.first(connection, workspace_id)
            if portion is None:
                return 0
            told = [one for one in webhooks.listed(connection, workspace_id) if one.enabled]
            if told:
                called = outbox.named(connection, workspace_id, {event.pid for event in portion.events})
                n = outbox.last(connection, workspace_id)
                outbox.add(connection, workspace_id, self._messages(workspace_id, portion.events, told, called, n))
            webhook_events.delete(connection, workspace_id, portion)
        return len(portion.events)

    def _messages(
        self,
        workspace_id: int,
        events: Sequence[ProfileEvent],
        told: Sequence[Webhook],
        called: dict[int, tuple[str, str | None]],
        n: int,
    ) -> list[Message]:
        now_us, secret = self._now_us(), self._secret(workspace_id)
        messages: list[Message] = []
        for event in events:
            name = event.gone or called.get(event.pid)
            if name is None:  # deleted meanwhile
                continue
            n += 1
            id_, doc = ids.event_id(secret, workspace_id, *event.place), _doc(event, *name)
            message = Message(
                event.pid, "", id_, n, event.stream, event.seq, event.us, event.types, doc, DUE, 0, now_us, ""
            )
            for one in told:
                for_one = _message(one, event, message)
                if for_one is not None:
                    messages.append(for_one)
        return messages


def _message(webhook: Webhook, event: ProfileEvent, message: Message) -> Message | None:
    """What a webhook is told of an event. Where it is about a segment, only a deletion is decided at once."""
    types, state = event.types, DUE
    if webhook.segment_id and event.types & DELETED:
        types = types | LEFT if webhook.id in event.members else 0
    elif webhook.segment_id:
        return replace(message, webhook_id=webhook.id, state=HELD)
    return replace(message, webhook_id=webhook.id, types=types, state=state) if types & webhook.wants else None


def _doc(event: ProfileEvent, braze_id: str, external_id: str | None) -> dict[str, Any]:
    doc: dict[str, Any] = {"braze_id": braze_id, "external_id": external_id}
    if not event.types & DELETED:
        doc["changed"] = sorted(event.changed)[: MAX_CHANGED + 1]
    if event.others:
        doc["others"] = sorted(event.others)
    return doc
