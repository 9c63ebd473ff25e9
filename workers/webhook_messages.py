"""Messages of change webhooks go out here: in order for each profile, each until it was taken, or is dead."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import structlog

from app.adapters import signing
from app.adapters.http_out import CallError, HttpOut
from app.contract import exported, request_id
from app.contract import webhooks as contract
from app.contract.exported import View
from app.domain.profile import ALL_SECTIONS, CHANNEL_EMAIL
from app.domain.times import SECOND
from app.domain.webhooks import FAILURES_BEFORE_REST, PAUSES, TEST, Webhook, rest_us
from app.store import outbox, webhooks
from app.store.engine import DATABASE_ERRORS, Database
from app.store.outbox import DEAD, DUE, Message
from app.store.profiles import holders, look_up

log = structlog.get_logger()

INTERVAL_S: Final = 0.25
#: Webhooks that are served at once, of a workspace half of them; and messages of one that are under way at once.
SENDERS: Final = 8
AT_ONCE: Final = 4
#: Messages that are read together, and how long a sender begins new ones.
PORTION: Final = 200
PORTION_SECONDS: Final = 5.0
#: After this long another webhook has its turn.
TURN_SECONDS: Final = 10.0
#: Nobody else sends for a webhook meanwhile. No portion takes as long, with the calls that are under way at its end.
LEASE_US: Final = 30 * SECOND
#: Bytes of a profile, as it is stored, that a message holds; a larger one is left out.
LARGEST_PROFILE: Final = 512 * 1024

#: The answer was not 2xx.
STATUS: Final = "status_%d"


@dataclass(slots=True)
class _Outcome:
    """What came of a portion, so far."""

    taken: list[Message] = field(default_factory=list)
    failed: list[tuple[Message, str]] = field(default_factory=list)
    #: In a row.
    failures: int = 0
    error: str = ""


class WebhookSender:
    """Works in a thread of the sweeper's process, and in some more while it sends."""

    def __init__(
        self, database: Database, now_us: Callable[[], int], out: HttpOut, secret: Callable[[int], bytes]
    ) -> None:
        """`database`: one whose commits wait for the disk. `secret` gives the id key of a workspace."""
        self._database = database
        self._now_us = now_us
        self._out = out
        self._secret = secret
        self._lock = threading.Lock()
        #: Webhooks that are being served.
        self._busy: set[tuple[int, str]] = set()

    def run(self, stop: threading.Event) -> None:
        """Send until `stop`. An outage of the database is waited out."""
        with ThreadPoolExecutor(SENDERS, thread_name_prefix="webhook") as executor:
            while not stop.wait(INTERVAL_S):
                try:
                    for webhook in self.ready():
                        executor.submit(self._serve, webhook, stop)
                except DATABASE_ERRORS as error:
                    log.warning("webhooks_not_read", error=type(error).__name__)

    def ready(self) -> list[Webhook]:
        """Webhooks that have something to send, as many as there are senders free; they are busy from here on."""
        with self._database.read() as connection:
            waiting = webhooks.ready(connection, self._now_us(), 4 * SENDERS)
        chosen: list[Webhook] = []
        with self._lock:
            for webhook in waiting:
                key = (webhook.workspace_id, webhook.id)
                own = sum(workspace_id == webhook.workspace_id for workspace_id, _ in self._busy)
                if key not in self._busy and len(self._busy) < SENDERS and own < SENDERS // 2:
                    self._busy.add(key)
                    chosen.append(webhook)
        return chosen

    def send(self, webhook: Webhook) -> int:
        """Send one portion. Returns how many messages were taken. Raises what the database raises."""
        now_us = self._now_us()
        resting = webhook.failures >= FAILURES_BEFORE_REST
        messages = outbox.take(self._database, webhook, now_us, now_us + LEASE_US, PORTION, resting=resting)
        if messages is None:
            return 0
        outcome = _Outcome(failures=webhook.failures, error=webhook.error)
        try:
            self._send_all(webhook, messages, outcome)
        finally:
            self._record(webhook, outcome)
        return len(outcome.taken)

    def _serve(self, webhook: Webhook, stop: threading.Event) -> None:
        try:
            found: Webhook | None = webhook
            ends = time.monotonic() + TURN_SECONDS
            while found is not None and not stop.is_set() and self.send(found) and time.monotonic() < ends:
                with self._database.read() as connection:  # more of it may wait
                    found = webhooks.find(connection, webhook.workspace_id, webhook.id)
                if found is not None and not found.enabled:
                    break
        except DATABASE_ERRORS as error:
            log.warning("webhook_not_recorded", webhook=webhook.id, error=type(error).__name__)
        finally:
            with self._lock:
                self._busy.discard((webhook.workspace_id, webhook.id))

    def _send_all(self, webhook: Webhook, messages: Sequence[Message], outcome: _Outcome) -> None:
        """Of each profile one after the other, until one fails; of several at once."""
        by_person: dict[int, list[Message]] = {}
        for message in messages:
            by_person.setdefault(message.pid, []).append(message)
        called = self._called(webhook, by_person)
        others = self._others(webhook, messages)
        ends, lock = time.monotonic() + PORTION_SECONDS, threading.Lock()

        def send_some(some: Sequence[Message]) -> None:
            for message in some:
                with lock:
                    if time.monotonic() > ends or outcome.failures >= FAILURES_BEFORE_REST > webhook.failures:
                        return
                error = self._post(webhook, message, called, others)
                with lock:
                    if error:
                        outcome.failed.append((message, error))
                        outcome.failures, outcome.error = outcome.failures + 1, error
                    else:
                        outcome.taken.append(message)
                        outcome.failures, outcome.error = 0, ""
                if error:
                    return

        if len(by_person) == 1:
            send_some(messages)
            return
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook message") as executor:
            list(executor.map(send_some, by_person.values()))

    def _called(self, webhook: Webhook, by_person: Mapping[int, object]) -> dict[int, dict[str, Any]]:
        """How people are called now; whoever is gone is not among them."""
        with self._database.read() as connection:
            found = outbox.people(connection, webhook.workspace_id, (pid for pid in by_person if pid))
        return {pid: contract.person(person.core, person.external_id) for pid, person in found.items()}

    def _others(self, webhook: Webhook, messages: Sequence[Message]) -> dict[int, str]:
        """braze_ids of those whom messages are about as well; whoever was deleted is not among them."""
        pids = {pid for message in messages for pid in message.doc.get("others", ())}
        if not pids:
            return {}
        with self._database.read() as connection:
            found = outbox.named(connection, webhook.workspace_id, pids)
        return {pid: braze_id for pid, (braze_id, _) in found.items()}

    def _post(
        self,
        webhook: Webhook,
        message: Message,
        called: Mapping[int, Mapping[str, Any]],
        others: Mapping[int, str],
    ) -> str:
        """Why the message was not taken, "" when it was."""
        document = contract.message(
            webhook.wants,
            message.types,
            message.us,
            message.doc,
            self._request_of(webhook, message),
            called.get(message.pid, {}),
            [others[pid] for pid in message.doc.get("others", ()) if pid in others],
        )
        if webhook.with_profile and message.pid in called:
            document["data"]["profile"] = self._profile(webhook.workspace_id, message.pid)
        body = msgspec.json.encode(document)
        headers = signing.headers(webhook.signers(self._now_us()), message.id, self._now_us(), body)
        try:
            answer = self._out.post(webhook.url, body, headers)
        except CallError as error:
            return error.reason
        return "" if 200 <= answer.status < 300 else STATUS % answer.status

    def _request_of(self, webhook: Webhook, message: Message) -> str | None:
        if message.types & TEST or not message.seq:  # time alone has let somebody into a segment, or out
            return None
        return request_id.make(self._secret(webhook.workspace_id), webhook.workspace_id, message.stream, message.seq)

    def _profile(self, workspace_id: int, pid: int) -> dict[str, object] | None:
        """As an export shows it now; None where it is too large, or gone."""
        with self._database.read() as connection:
            if holders.sizes(connection, workspace_id, [pid]).get(pid, 0) > LARGEST_PROFILE:
                return None
            profiles = look_up.fetch(connection, workspace_id, {pid: ALL_SECTIONS})
            if not profiles:
                return None
            email = (profiles[0].core or {}).get("email")
            state = None
            if isinstance(email, str):
                states = look_up.fetch_addresses(connection, workspace_id, [(CHANNEL_EMAIL, email)])
                state = states[CHANNEL_EMAIL, email, ""]
        return exported.render(View(profiles[0], state, self._now_us()), None)

    def _record(self, webhook: Webhook, outcome: _Outcome) -> None:
        now_us = self._now_us()
        rests = rest_us(outcome.failures)
        with self._database.write() as connection:
            outbox.delete(connection, webhook.workspace_id, outcome.taken)
            for message, error in outcome.failed:
                again = message.attempts < len(PAUSES)
                due_us = now_us + PAUSES[message.attempts] * SECOND if again else now_us
                outbox.fail(connection, webhook.workspace_id, message, DUE if again else DEAD, due_us, error)
                if not again:
                    log.warning("webhook_message_dead", webhook=webhook.id, error=error)
            webhooks.end_lease(
                connection,
                webhook,
                outcome.failures,
                now_us + rests if rests else 0,
                outcome.error,
                now_us if outcome.taken else 0,
            )
