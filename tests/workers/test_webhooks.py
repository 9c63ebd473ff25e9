"""Change webhooks: what requests change is told once a profile and request, in order, and never what is taken back."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text
from standardwebhooks import Webhook as Verifier

from app.adapters.http_out import HttpOut
from app.contract import webhooks as contract
from app.domain.times import HOUR, SECOND
from app.domain.webhooks import EVENTS, PAUSES, Webhook
from app.services import webhooks as services
from app.services.caller import Caller
from app.services.webhooks import WebhookSettings
from app.store import outbox, workspaces
from app.store import webhooks as store
from app.store.engine import Database
from tests.hooks import Hook, hook
from tests.stores import NOW_US, workspace
from tests.workers.test_drain import applier, send
from workers.batches import Patience
from workers.webhook_messages import LEASE_US, WebhookSender

SETTINGS = WebhookSettings(most=20, allow_private=True)
Json = dict[str, Any]


@pytest.fixture
def receiver() -> Iterator[Hook]:
    with hook() as found:
        yield found
