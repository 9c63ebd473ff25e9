"""Work that is done again and again beside the drains: one process does all of it, each in a thread of its own.

A feature with periodic work adds a row to PERIODIC.
"""

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from app.adapters import metric_files, workspace_keys
from app.adapters.doorbell import Doorbell
from app.adapters.http_out import HttpOut
from app.adapters.mail import Mailer
from app.adapters.metrics import DIRECTORY, Metrics
from app.adapters.remembered import RememberedNumbers
from app.domain import times
from app.settings import Settings
from app.store import alerts as store_alerts
from app.store import past, refused, workspaces
from app.store.engine import Database
from app.store.retained import Keeping
from workers import archival, console, merge_schedule, rates, scheduled, segments, token_clean_up, values
from workers.alert_messages import AlertSender
from workers.alerts import AlertWatch
from workers.apply import Applier
from workers.jobs.upkeep import Upkeep
from workers.origin import OriginWatch
from workers.retention import OutboxKept, Retention, UsageKept
from workers.sweep import Sweeper
from workers.watches import SegmentWatch
from workers.webhook_events import EventTeller
from workers.webhook_messages import WebhookSender
from workers.workspaces import WorkspaceDeleter

log = structlog.get_logger()

#: How often the files of processes that are dead are looked for.
METRIC_FILES_SECONDS: Final = 60.0

Work = Callable[[threading.Event], None]
"""Works until the event is set, and waits out an outage of the database."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What periodic work is made of."""

    settings: Settings
    database: Database
    applier: Applier
    bell: Doorbell
    metrics: Metrics
    now_us: Callable[[], int]
    out: HttpOut
    #: None: there is no mail server.
    mailer: Mailer | None


def _sweep(parts: Parts) -> Work:
    return Sweeper(parts.database, parts.applier, parts.bell, parts.settings.sweep_seconds, parts.metrics).run


def _retention(parts: Parts) -> Work:
    settings = parts.settings
    hours, most = settings.inbox_retention_hours, int(settings.inbox_retention_gigabytes * 10**9)
    bounds = past.Bounds(settings.dead_letters, settings.dead_letter_megabytes * 1024 * 1024)
    keeping = Keeping(settings.history_lines, settings.merge_record_days, settings.deletion_days)
    usage = UsageKept(settings.usage_hours, settings.max_usage_rows)
    refusals = refused.Keeping(settings.refused_requests, settings.refused_days)
    outbox = OutboxKept(settings.webhook_hours, settings.max_webhook_megabytes * 1024 * 1024)
    return Retention(
        parts.database, parts.now_us, hours, most, parts.metrics.aged_out, bounds, keeping, usage, refusals, outbox
    ).run


def _console(parts: Parts) -> Work:
    settings = parts.settings
    kept = console.keeping(settings.console_session_hours, settings.console_act_days, settings.console_acts)
    return lambda stop: console.run(parts.database, kept, parts.now_us, stop)


def _rates(parts: Parts) -> Work:
    return lambda stop: rates.run(parts.database, parts.now_us, stop)


def _jobs(parts: Parts) -> Work:
    import_us = int(parts.settings.import_hours * times.HOUR)
    return Upkeep(parts.database, parts.bell, parts.now_us, import_us).run


def _metric_files(_parts: Parts) -> Work:
    folder = os.environ.get(DIRECTORY)

    def work(stop: threading.Event) -> None:
        while not stop.wait(METRIC_FILES_SECONDS):
            with suppress(OSError):  # a full disk: another time
                if folder and (retired := metric_files.retire(Path(folder))):
                    log.info("metric_files_retired", files=retired)

    return work


def _segments(parts: Parts) -> Work:
    return lambda stop: segments.run(parts.database, parts.now_us, stop)


def _values(parts: Parts) -> Work:
    return lambda stop: values.run(parts.database, parts.now_us, parts.settings.segment_values_days, stop)


def _archival(parts: Parts) -> Work:
    return lambda stop: scheduled.run(parts.database, parts.now_us, stop, archival.SCHEDULED)


def _nothing(stop: threading.Event) -> None:
    stop.wait()


def _token_clean_up(parts: Parts) -> Work:
    if not parts.settings.token_clean_up:
        return _nothing
    return lambda stop: scheduled.run(parts.database, parts.now_us, stop, token_clean_up.SCHEDULED)


def _workspaces(parts: Parts) -> Work:
    def forget(workspace_id: int) -> int:
        return workspace_keys.forget(parts.settings.redis(), parts.settings.key_prefix, workspace_id)

    return WorkspaceDeleter(parts.database, forget, parts.now_us).run


def _merge_schedule(parts: Parts) -> Work:
    most = parts.settings.max_merge_runs
    return lambda stop: merge_schedule.run(parts.database, parts.now_us, most, stop)


def _alerts(parts: Parts) -> Work:
    settings = parts.settings
    bounds = store_alerts.Bounds(settings.alert_messages_per_hour, settings.max_alert_messages)
    return AlertWatch(parts.database, parts.now_us, settings.alert_seconds, bounds, settings.public_url).run


def _alert_messages(parts: Parts) -> Work:
    return AlertSender(parts.database, parts.now_us, parts.out, parts.mailer).run


def _webhook_messages(parts: Parts) -> Work:
    # Of its own, since it looks often, from many threads, and for receivers that take their time.
    settings = parts.settings
    database = Database(
        settings.worker_database(),
        pool_size=4,
        timeout_seconds=settings.database_timeout_seconds,
        log_bytes=settings.log_bytes(),
    )
    return WebhookSender(
        database, parts.now_us, parts.out, lambda workspace_id: workspaces.secret(database, workspace_id)
    ).run


def _webhook_events(parts: Parts) -> Work:
    database = parts.database
    return EventTeller(database, parts.now_us, lambda workspace_id: workspaces.secret(database, workspace_id)).run


def _origin(parts: Parts) -> Work:
    return OriginWatch(parts.database, RememberedNumbers(parts.settings.redis(), parts.settings.key_prefix)).run


def _watches(parts: Parts) -> Work:
    database, most = parts.database, parts.settings.max_webhook_members
    secret = lambda workspace_id: workspaces.secret(database, workspace_id)  # noqa: E731
    return SegmentWatch(database, parts.now_us, secret, most).run


#: Name of the thread -> what makes its work.
PERIODIC: Final[Mapping[str, Callable[[Parts], Work]]] = {
    "sweep": _sweep,
    "origin": _origin,
    "retention": _retention,
    "console": _console,
    "rates": _rates,
    "jobs": _jobs,
    "metric files": _metric_files,
    "segments": _segments,
    "values": _values,
    "workspaces": _workspaces,
    "archival": _archival,
    "token clean-up": _token_clean_up,
    "merge schedule": _merge_schedule,
    "alerts": _alerts,
    "alert messages": _alert_messages,
    "webhook events": _webhook_events,
    "webhook segments": _watches,
    "webhook messages": _webhook_messages,
}


def run(works: Mapping[str, Work], stop: threading.Event) -> None:
    """Do all of it until `stop`. Work that fails ends the others, and raises: whoever started us starts us again."""
    failures: list[BaseException] = []

    def guarded(work: Work) -> None:
        try:
            work(stop)
        except BaseException as error:  # noqa: BLE001 - nobody else would hear of it
            failures.append(error)
        finally:
            stop.set()

    threads = [threading.Thread(target=guarded, args=(work,), name=name) for name, work in works.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
