"""Webhooks in the store, without HTTP: made, told by the parts of a sweeper, and what they are told."""

import itertools
from typing import Any

from app.adapters.http_out import HttpOut
from app.contract import webhooks as contract
from app.domain.webhooks import CHANGES, EVENTS, Webhook, names_of
from app.services import segments
from app.services import webhooks as services
from app.services.caller import Caller
from app.services.webhooks import WebhookSettings
from app.services.workspaces import operator_of
from app.store import outbox, workspaces
from app.store.engine import Database
from app.store.outbox import DUE, Message
from tests.stores import NOW_US
from workers.watches import SegmentWatch
from workers.webhook_events import EventTeller
from workers.webhook_messages import WebhookSender

Json = dict[str, Any]
SETTINGS = WebhookSettings(most=3, allow_private=True)
TRACK = "/users/track"
_names = (f"gold {n}" for n in itertools.count())

ANN = {"external_id": "ann"}
GUEST = {"user_alias": {"alias_label": "guest", "alias_name": "g1"}}
#: People with a tier of gold.
GOLD: Json = {
    "groups": [
        {"op": "AND", "filters": [{"field": "custom_attribute", "name": "tier", "op": "equals", "value": "gold"}]}
    ]
}


def make(database: Database, one: int, url: str = "http://127.0.0.1:9/", **fields: Any) -> Webhook:
    sent = {"url": url, "events": list(CHANGES), **fields}
    return services.create(database, caller(database, one), contract.new(sent), NOW_US, SETTINGS)


def caller(database: Database, one: int) -> Caller:
    found = operator_of(database, one, "me")
    assert found is not None
    return found


def sender(database: Database, now_us: int = NOW_US, *, private: bool = True) -> WebhookSender:
    out = HttpOut(allow_private=private)
    return WebhookSender(database, lambda: now_us, out, lambda w: workspaces.secret(database, w))


def tell(database: Database, now_us: int = NOW_US) -> int:
    """Make the messages of what was applied."""
    return EventTeller(database, lambda: now_us, lambda w: workspaces.secret(database, w)).tell()


def send_all(database: Database, now_us: int = NOW_US, *, private: bool = True) -> int:
    """What one look of a sweeper sends."""
    tell(database, now_us)
    found = sender(database, now_us, private=private)
    return sum(found.send(webhook) for webhook in found.ready())


def kept(database: Database, webhook: Webhook, state: str = DUE) -> list[Message]:
    tell(database)
    with database.read() as connection:
        return outbox.listed(connection, webhook.workspace_id, webhook.id, state, 1_000)


def stands(database: Database, webhook: Webhook) -> Webhook:
    return services.one(database, caller(database, webhook.workspace_id), webhook.id)


def attributes(*objects: Json) -> tuple[str, Json]:
    return TRACK, {"attributes": list(objects)}


def everything(database: Database, webhook: Webhook) -> dict[str, Any]:
    """What is kept but consent, which is of whoever has the address when a batch ends."""
    found = {}
    for message in kept(database, webhook):
        names = [name for name in message.doc.get("changed", []) if not name.startswith(("email_", "subscription_"))]
        types = [name for name in names_of(message.types) if name != "subscription.changed"]
        if types:
            place = f"{message.stream}/{message.seq}/{message.pid}"
            found[place] = (types, names, message.doc.get("others", []))
    return found


def segment(database: Database, one: int, definition: Json = GOLD) -> str:
    document = {"name": next(_names), **definition}
    return segments.add(database, caller(database, one), document, NOW_US, 100).id


def watching(database: Database, one: int, definition: Json = GOLD, **fields: Any) -> Webhook:
    fields = {"events": list(EVENTS), **fields}
    return make(database, one, segment_id=segment(database, one, definition), **fields)


def watch(database: Database, now_us: int = NOW_US, most: int = 10**6) -> None:
    """Do all that is to be done now."""
    tell(database, now_us)
    found = SegmentWatch(database, lambda: now_us, lambda w: workspaces.secret(database, w), most)
    while found.tick():
        pass
