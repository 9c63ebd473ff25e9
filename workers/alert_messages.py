"""Messages of alerts go out here: each is claimed, sent, and marked; what fails is tried again a few times."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec
import structlog

from app.adapters import signing
from app.adapters.http_out import CallError, HttpOut
from app.adapters.mail import Mailer, MailError
from app.contract import alerts as contract
from app.domain.alerts import DELIVERED, DUE, EMAIL, FAILED
from app.domain.times import SECOND
from app.store import alerts as store
from app.store.alerts import Message
from app.store.engine import DATABASE_ERRORS, Database

log = structlog.get_logger()

INTERVAL_S: Final = 1.0
#: Messages that are sent at once, each of another workspace: an address that does not answer holds up its own alone.
SENDERS: Final = 4
#: Messages that are looked at together.
MOST_DUE: Final = 500
#: When a message that was not taken is tried again, in seconds after each try; after the last one it has failed.
PAUSES: Final = (10, 60, 300, 900, 3_600)
#: A message that was claimed is due again after this long. No attempt takes as long.
CLAIM_US: Final = 180 * SECOND

NO_MAIL: Final = "no_mail_server"
#: The answer of a webhook was not 2xx.
STATUS: Final = "status_%d"
SOME_REFUSED: Final = "some_recipients_refused"

#: The header that names a message, besides its body.
ID_HEADER: Final = "X-Onefold-Message-Id"


class AlertSender:
    """Works in a thread of the sweeper's process, and in some more while it sends."""

    def __init__(self, database: Database, now_us: Callable[[], int], out: HttpOut, mailer: Mailer | None) -> None:
        """`mailer` None: there is no mail server."""
        self._database = database
        self._now_us = now_us
        self._out = out
        self._mailer = mailer
        self._lock = threading.Lock()
        #: Workspaces whose message is being sent.
        self._busy: set[int] = set()

    def run(self, stop: threading.Event) -> None:
        """Send until `stop`. An outage of the database is waited out."""
        with ThreadPoolExecutor(SENDERS, thread_name_prefix="alert message") as executor:
            while not stop.wait(INTERVAL_S):
                try:
                    for message in self.due():
                        executor.submit(self._send_one, message)
                except DATABASE_ERRORS as error:
                    log.warning("alert_messages_not_read", error=type(error).__name__)

    def due(self) -> list[Message]:
        """At most one message of each workspace that has none on the way, as many as there are senders free."""
        with self._database.read() as connection:
            waiting = store.due(connection, self._now_us(), MOST_DUE)
        chosen: list[Message] = []
        with self._lock:
            for message in waiting:
                if len(self._busy) >= SENDERS:
                    break
                if message.workspace_id not in self._busy:
                    self._busy.add(message.workspace_id)
                    chosen.append(message)
        return chosen

    def send(self, message: Message) -> str:
        """Claim a message and send it: what became of it, "" when somebody else has it.

        Raises what the database raises; then it is due again when the claim ends.
        """
        with self._database.write() as connection:
            if not store.claim(connection, message, self._now_us() + CLAIM_US):
                return ""
        delivery, error = self._delivered(message)
        now_us, tries = self._now_us(), message.attempts + 1
        if delivery == DUE and tries > len(PAUSES):
            delivery = FAILED
        pause = PAUSES[min(tries, len(PAUSES)) - 1]
        with self._database.write() as connection:
            store.end(connection, message, delivery, error, now_us, now_us + pause * SECOND)
        if delivery != DELIVERED:
            log.warning("alert_message_not_taken", alert=message.alert_id, state=delivery, error=error, tries=tries)
        return delivery

    def _send_one(self, message: Message) -> None:
        try:
            self.send(message)
        except DATABASE_ERRORS as error:
            log.warning("alert_message_not_recorded", alert=message.alert_id, error=type(error).__name__)
        finally:
            with self._lock:
                self._busy.discard(message.workspace_id)

    def _delivered(self, message: Message) -> tuple[str, str]:
        """(DELIVERED, or DUE for another try; what is to be said about it)"""
        return self._mailed(message) if message.channel == EMAIL else self._called(message)

    def _called(self, message: Message) -> tuple[str, str]:
        body, headers = msgspec.json.encode(message.doc), {ID_HEADER: message.id}
        if message.secret:
            headers |= signing.headers((message.secret,), message.id, self._now_us(), body)
        try:
            answer = self._out.post(message.targets[0], body, headers)
        except CallError as error:
            return DUE, error.reason
        return (DELIVERED, "") if 200 <= answer.status < 300 else (DUE, STATUS % answer.status)

    def _mailed(self, message: Message) -> tuple[str, str]:
        if self._mailer is None:
            return DUE, NO_MAIL
        doc = message.doc
        try:
            refused = self._mailer.send(message.id, message.targets, contract.subject(doc), contract.letter(doc))
        except MailError as error:
            return DUE, error.reason
        return DELIVERED, SOME_REFUSED if refused else ""
