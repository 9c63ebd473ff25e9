"""Webhooks of segments are told here who enters and who leaves, and of changes of whoever is inside."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import structlog
from sqlalchemy import Connection

from app.contract.errors import RefusedError
from app.domain import ids
from app.domain.segments.model import Definition
from app.domain.segments.timed import depends_on_time
from app.domain.watching import decide, is_due
from app.domain.webhooks import ENTERED, LEFT, Webhook
from app.store import outbox, watches, webhook_events, webhooks
from app.store.bulk import encode
from app.store.engine import DATABASE_ERRORS, Database
from app.store.outbox import DUE, Message
from app.store.segments import run as segments
from app.store.segments import saved
from app.store.segments.compile import TooBroadError
from app.store.watches import EMPTYING, FILLING, SWEEPING, WATCHING, Watch
from workers.segments import definition_of

log = structlog.get_logger()

INTERVAL_S: Final = 0.2
#: Events that are decided together.
PORTION: Final = 500
#: After this long the next webhook has its turn.
TURN_SECONDS: Final = 1.0
#: So often it is looked whether it is time to look at everybody.
LOOK_SECONDS: Final = 1.0
#: A segment that cannot be evaluated is tried again after this long.
REST_SECONDS: Final = 30.0
#: In the place of a stream, in the ids of messages that no request caused.
_NO_STREAM: Final = 2


class SegmentWatch:
    """Works in a thread of the sweeper's process. Of several, one at a time works for a workspace."""

    def __init__(
        self, database: Database, now_us: Callable[[], int], secret: Callable[[int], bytes], most: int
    ) -> None:
        """`secret` gives the id key of a workspace, whose webhooks may remember `most` members."""
        self._database = database
        self._now_us = now_us
        self._secret = secret
        self._most = most
        #: Monotonic time until which a watch rests; and until which nobody looks whether its next round is due.
        self._rests: dict[tuple[int, str], float] = {}
        self._looked: dict[tuple[int, str], float] = {}

    def run(self, stop: threading.Event) -> None:
        """Work until `stop`. An outage of the database is waited out."""
        while not stop.wait(INTERVAL_S):
            try:
                self.tick(stop)
            except DATABASE_ERRORS as error:
                log.warning("segments_not_watched", error=type(error).__name__)

    def tick(self, stop: threading.Event | None = None) -> int:
        """Decide what waits, then do a step of what else each watch has to do. Returns how many steps did something."""
        with self._database.read() as connection:
            found = watches.listed(connection)
        there = {(watch.workspace_id, watch.webhook_id) for watch in found}
        for known in (self._rests, self._looked):
            for key in known.keys() - there:
                del known[key]
        done = 0
        for work in (self._decide_some, self._step):
            for watch in found:
                if stop is not None and stop.is_set():
                    return done
                done += self._guarded(watch, work)
        return done

    def _guarded(self, watch: Watch, work: Callable[[Watch], int]) -> int:
        """A segment that cannot be evaluated holds up its own webhook alone."""
        key = (watch.workspace_id, watch.webhook_id)
        if self._rests.get(key, 0.0) > time.monotonic():
            return 0
        self._rests.pop(key, None)
        try:
            return work(watch)
        except (RefusedError, TooBroadError, *DATABASE_ERRORS) as error:
            log.warning("segment_not_watched", webhook=watch.webhook_id, error=type(error).__name__)
            self._rests[key] = time.monotonic() + REST_SECONDS
            return 0

    def _decide_some(self, watch: Watch) -> int:
        done, ends = 0, time.monotonic() + TURN_SECONDS
        while watch.waits and watch.phase in (WATCHING, SWEEPING):
            number = self._locked(watch, self._decide)
            done += bool(number)
            if number < PORTION or time.monotonic() > ends:
                break
        return done

    def _step(self, watch: Watch) -> int:
        if watch.phase == EMPTYING:
            return self._locked(watch, self._empty)
        return self._locked(watch, self._look) if watch.phase != WATCHING or self._is_due(watch) else 0

    def _is_due(self, watch: Watch) -> bool:
        """Whether everybody is to be looked at again. Asked without the lock, since it hardly ever is."""
        key = (watch.workspace_id, watch.webhook_id)
        if self._looked.get(key, 0.0) > time.monotonic():
            return False
        self._looked[key] = time.monotonic() + LOOK_SECONDS
        with self._database.read() as connection:
            webhook = webhooks.find(connection, watch.workspace_id, watch.webhook_id)
            if webhook is None or not webhook.segment_id:
                return False
            definition = _definition(connection, webhook)
        timed = depends_on_time(definition)
        return encode(definition) != watch.definition or is_due(self._now_us(), watch.swept_us, timed=timed)

    def _locked(self, watch: Watch, work: Callable[[Connection, Watch, Webhook | None], int]) -> int:
        with self._database.write() as connection:
            if not webhook_events.try_lock(connection, watch.workspace_id):
                return 0
            found = watches.find(connection, watch.workspace_id, watch.webhook_id)
            if found is None or found.phase != watch.phase:
                return 0
            webhook = webhooks.find(connection, watch.workspace_id, watch.webhook_id)
            wanted = webhook is not None and webhook.enabled and bool(webhook.segment_id)
            return work(connection, found, webhook if wanted else None)

    def _empty(self, connection: Connection, watch: Watch, webhook: Webhook | None) -> int:
        if not watches.empty(connection, watch):
            watches.save(connection, watch)
        elif webhook is None:
            watches.forget(connection, watch)
        else:
            watches.save(connection, replace(watch, phase=FILLING, pid=-1, members=0))
        return 1

    def _decide(self, connection: Connection, watch: Watch, webhook: Webhook | None) -> int:
        if webhook is None:
            return 0
        held = outbox.held(connection, watch.workspace_id, watch.webhook_id, PORTION)
        definition = _definition(connection, webhook)
        others = {pid: message for message in held for pid in message.doc.get("others", ())}
        pids = sorted({message.pid for message in held} | others.keys())
        before = watches.among(connection, watch, pids)
        now = segments.matches(connection, watch.workspace_id, pids, definition, self._now_us())
        decided = decide([(one.pid, one.types) for one in held], before, now, webhook.wants)
        now_us = self._now_us()
        told = [
            replace(message, types=types, state=DUE, due_us=now_us)
            for message, types in zip(held, decided, strict=True)
            if types
        ]
        outbox.decide(connection, watch.workspace_id, held, told)
        # Whoever was merged away has left, and has no event of their own that says so.
        gone = {pid: others[pid] for pid in before & others.keys() - now - {one.pid for one in held}}
        self._tell(connection, watch, webhook, gone, LEFT)
        self._noted(watch, watches.change(connection, watch, now - before, before - now, self._most))
        return len(held)

    def _look(self, connection: Connection, watch: Watch, webhook: Webhook | None) -> int:
        """A step of a round in which everybody is looked at."""
        if webhook is None:
            return 0
        definition, now_us = _definition(connection, webhook), self._now_us()
        if watch.phase == FILLING:
            self._noted(watch, watches.fill(connection, watch, definition, now_us, self._most))
            return 1
        if watch.phase == WATCHING:
            watch.phase, watch.pid, watch.swept_us, watch.definition = SWEEPING, -1, now_us, encode(definition)
        seen = watches.look(connection, watch, definition, now_us)
        entered, left = seen.now - seen.before, seen.before - seen.now
        n = outbox.last(connection, watch.workspace_id) + 1
        for pids, type_ in ((entered, ENTERED), (left, LEFT)):
            message = Message(0, webhook.id, "", n, _NO_STREAM, 0, now_us, type_, {}, DUE, 0, now_us, "")
            self._tell(connection, watch, webhook, dict.fromkeys(pids, message), type_)
        if watches.is_over(watch):
            watch.phase, watch.pid = WATCHING, -1
        self._noted(watch, watches.change(connection, watch, entered, left, self._most))
        return 1

    def _tell(
        self, connection: Connection, watch: Watch, webhook: Webhook, causes: Mapping[int, Message], type_: int
    ) -> None:
        """Messages about people, each with the place of its cause."""
        if not causes or not webhook.wants & type_:
            return
        called = outbox.named(connection, watch.workspace_id, causes)
        secret, now_us = self._secret(watch.workspace_id), self._now_us()
        messages: list[Message] = []
        for pid, cause in sorted(causes.items()):
            if pid in called:
                braze_id, external_id = called[pid]
                seq = cause.seq or now_us
                id_ = ids.event_id(secret, watch.workspace_id, cause.stream, seq, pid)
                doc: dict[str, Any] = {"braze_id": braze_id, "external_id": external_id, "changed": []}
                messages.append(
                    replace(cause, pid=pid, id=id_, types=type_, doc=doc, state=DUE, attempts=0, due_us=now_us)
                )
        outbox.add(connection, watch.workspace_id, messages)

    def _noted(self, watch: Watch, too_large: bool) -> None:
        if too_large:
            log.warning("segment_too_large", workspace=watch.workspace_id, webhook=watch.webhook_id)


def _definition(connection: Connection, webhook: Webhook) -> Definition:
    """What the segment says now, with the segments that it names. Raises RefusedError."""
    segment = saved.fetch(connection, webhook.workspace_id, webhook.segment_id)
    if segment is None:
        raise RefusedError(404, "")
    return definition_of(connection, webhook.workspace_id, segment.definition)
