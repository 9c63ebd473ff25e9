"""Alerts are looked at here: their numbers are read, and whoever moves one on stores what is to be said about it."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import structlog
from sqlalchemy import Connection

from app.contract import alerts as contract
from app.contract.ecommerce import CODES, SCHEMAS
from app.domain import alerts as domain
from app.domain.alerts import (
    BACKLOG,
    DEAD_LETTERS,
    ECOMMERCE_FAILURES,
    GAUGES,
    INSTALLATION,
    INVALID_KEYS,
    LAG,
    RESPONSES_4XX,
    RESPONSES_5XX,
    STANDING,
    Alert,
)
from app.domain.commands import STREAM_NAMES, StreamKey
from app.domain.times import MINUTE, SECOND
from app.store import alerts as store
from app.store import api_usage, dead_letters, lane, names, workspaces
from app.store.api_usage import NO_WORKSPACE, Sum
from app.store.engine import DATABASE_ERRORS, Database
from app.store.inbox import backlog
from app.store.inbox.backlog import Backlog

log = structlog.get_logger()

#: What makes up most of a number, in a message.
MOST_DETAILS: Final = 5
#: A number that did not change the state is noted this often.
NOTED_US: Final = 60 * SECOND
#: Stands for all workspaces together.
_EVERYBODY: Final = -1


@dataclass(frozen=True, slots=True)
class Reading:
    """The number of an alert, and what makes up most of it."""

    value: int
    details: Sequence[Mapping[str, Any]] = ()


@dataclass(slots=True)
class Memory:
    """What one process knows from its earlier looks. It begins anew with the process."""

    #: Stream -> (what is at its cursor, since when).
    first: dict[StreamKey, tuple[tuple[int, int], int]] = field(default_factory=dict)
    #: Workspace -> (time, sum of refused e-commerce events so far), the oldest first.
    refused: dict[int, deque[tuple[int, int]]] = field(default_factory=dict)
    #: Nodes that were away then: sums over all workspaces are without theirs. None: that changed meanwhile.
    away: list[str] | None = None


class AlertWatch:
    """Looks at all alerts every `interval` seconds; in a thread of the sweeper's process."""

    def __init__(
        self, database: Database, now_us: Callable[[], int], interval: float, bounds: store.Bounds, server: str
    ) -> None:
        """`server`: how messages name this installation."""
        self._database = database
        self._now_us = now_us
        self._interval = interval
        self._bounds = bounds
        self._server = server
        self._memory = Memory()

    def run(self, stop: threading.Event) -> None:
        """Look until `stop`. An outage of the database is waited out."""
        while not stop.wait(self._interval):
            try:
                self.look()
            except DATABASE_ERRORS as error:
                log.warning("alerts_not_read", error=type(error).__name__)

    def look(self) -> int:
        """One look at all alerts; how many were moved on. Raises what the database raises."""
        with self._database.read() as connection:
            alerts = store.enabled(connection)
        if not alerts:
            self._memory = Memory()
            return 0
        now_us = self._now_us()
        readings = read(self._database, alerts, now_us, self._memory)
        return sum(self._move(alert, reading, now_us) for alert, reading in zip(alerts, readings, strict=True))

    def _move(self, alert: Alert, reading: Reading, now_us: int) -> bool:
        standing, said = domain.step(alert, reading.value, now_us)
        before_us = now_us - NOTED_US
        if standing == alert.standing:
            if alert.checked_us <= before_us and (alert.value != reading.value or alert.checked_us == 0):
                with self._database.write() as connection:
                    store.note(connection, alert, reading.value, now_us, before_us)
            return False
        with self._database.write() as connection:
            if not store.move(connection, alert, standing, reading.value, now_us):
                return False
            if said:
                message_id = str(uuid4())
                doc = contract.message(
                    alert,
                    message_id,
                    said,
                    now_us,
                    value=reading.value,
                    details=reading.details,
                    server=self._server,
                    workspace=workspaces.name_of(connection, alert.workspace_id),
                )
                delivery = store.say(connection, alert, message_id, said, doc, now_us, self._bounds)
        if said:
            log.warning("alert", workspace=alert.workspace_id, alert=alert.id, state=said, delivery=delivery)
        return True


def read(database: Database, alerts: Sequence[Alert], now_us: int, memory: Memory) -> list[Reading]:
    """The numbers of alerts, in their order. Raises what the database raises."""
    waiting: dict[StreamKey, Backlog] = {}
    if any(alert.metric in GAUGES for alert in alerts):
        waiting = backlog.read(database, now_us)
        _remember_first(database, waiting, now_us, memory)
    found = []
    with database.read() as connection:
        away = database.nodes_away
        if away != memory.away:  # sums before and behind that cannot be compared
            memory.refused.pop(INSTALLATION, None)
        _remember_refused(connection, alerts, now_us, memory)
        memory.away = away if away == database.nodes_away else None
        sums: dict[tuple[int, int], list[Sum]] = {}
        for alert in alerts:
            if alert.metric in GAUGES:
                found.append(_gauge(alert, waiting, now_us, memory))
            elif alert.metric == DEAD_LETTERS:
                # The installation has no number of its own among workspaces: it has all of them.
                found.append(Reading(dead_letters.since(connection, alert.workspace_id or None, _since(alert, now_us))))
            elif alert.metric == ECOMMERCE_FAILURES:
                found.append(Reading(_refused(alert, now_us, memory)))
            else:
                found.append(_responses(connection, alert, now_us, sums))
    return found


def _since(alert: Alert, now_us: int) -> int:
    return now_us - alert.window_minutes * MINUTE


def _remember_first(database: Database, waiting: Mapping[StreamKey, Backlog], now_us: int, memory: Memory) -> None:
    with database.read() as connection:
        begun = lane.begun(connection)
    first = {}
    for key, one in waiting.items():
        place = (one.oldest_us, begun.get(key, 0))
        before = memory.first.get(key)
        first[key] = before if before is not None and before[0] == place else (place, now_us)
    memory.first = first


def _gauge(alert: Alert, waiting: Mapping[StreamKey, Backlog], now_us: int, memory: Memory) -> Reading:
    """The largest of the streams that the alert is about, but queued requests are added up."""
    of = [key for key in waiting if alert.workspace_id in (INSTALLATION, key.workspace_id)]
    numbers = {
        key: {
            LAG: int(backlog.age_seconds(waiting[key], now_us)),
            BACKLOG: waiting[key].requests,
            STANDING: max(0, now_us - memory.first[key][1]) // SECOND,
        }[alert.metric]
        for key in of
    }
    largest = sorted(numbers, key=lambda key: (-numbers[key], key))[:MOST_DETAILS]
    details = [{"stream": STREAM_NAMES[key.stream], "value": numbers[key]} for key in largest]
    if alert.workspace_id == INSTALLATION:
        details = [{"workspace": key.workspace_id, **one} for key, one in zip(largest, details, strict=True)]
    value = sum(numbers.values()) if alert.metric == BACKLOG else max(numbers.values(), default=0)
    return Reading(value, details if value else ())


def _responses(connection: Connection, alert: Alert, now_us: int, sums: dict[tuple[int, int], list[Sum]]) -> Reading:
    """`sums`: what was read before for other alerts, by workspace and minutes."""
    of_all = alert.workspace_id == INSTALLATION and alert.metric != INVALID_KEYS
    place = (_EVERYBODY if of_all else alert.workspace_id, alert.window_minutes)
    if place not in sums:
        last = now_us // MINUTE
        first = last - alert.window_minutes + 1
        sums[place] = (
            api_usage.sums_of_all(connection, first, last)
            if of_all
            else api_usage.sums(connection, NO_WORKSPACE if alert.metric == INVALID_KEYS else place[0], first, last)
        )
    wanted = [one for one in sums[place] if _is_meant(alert, one)]
    details = [
        {"key_id": one.key_id or None, "endpoint": one.endpoint, "status": one.status, "value": one.count}
        for one in sorted(wanted, key=lambda one: (-one.count, one.key_id, one.endpoint))[:MOST_DETAILS]
    ]
    return Reading(sum(one.count for one in wanted), details)


def _is_meant(alert: Alert, one: Sum) -> bool:
    if alert.key_id and one.key_id != alert.key_id:
        return False
    if alert.endpoint and alert.endpoint not in (one.endpoint, one.endpoint.partition(" ")[2]):
        return False
    if alert.metric == RESPONSES_4XX:
        return 400 <= one.status < 500
    if alert.metric == RESPONSES_5XX:
        return one.status >= 500
    if alert.metric == INVALID_KEYS:
        return one.status in (401, 429)
    return one.status == 429


def _remember_refused(connection: Connection, alerts: Iterable[Alert], now_us: int, memory: Memory) -> None:
    wanted = [alert for alert in alerts if alert.metric == ECOMMERCE_FAILURES]
    longest: dict[int, int] = {}
    for alert in wanted:
        longest[alert.workspace_id] = max(alert.window_minutes, longest.get(alert.workspace_id, 0))
    memory.refused = {number: memory.refused.get(number, deque()) for number in longest}
    for number, samples in memory.refused.items():
        samples.append((now_us, names.refused(connection, number or None, tuple(SCHEMAS), CODES)))
        # The last one that is older than the window is what the window begins with.
        while len(samples) > 1 and samples[1][0] <= now_us - longest[number] * MINUTE:
            samples.popleft()


def _refused(alert: Alert, now_us: int, memory: Memory) -> int:
    samples, since = memory.refused[alert.workspace_id], _since(alert, now_us)
    before = next((count for us, count in reversed(samples) if us <= since), samples[0][1])
    return max(0, samples[-1][1] - before)
