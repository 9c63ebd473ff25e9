"""What runs in the background: Celery, its doorbell, what a worker drains with, and what does jobs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from celery import Celery

from app import sentinels
from app.adapters import tracing
from app.adapters.clock import now_us
from app.adapters.doorbell import TIMEOUT_SECONDS, Doorbell, queues
from app.adapters.files import Files
from app.adapters.http_out import HttpOut
from app.adapters.mail import Mailer, MailServer
from app.adapters.row_sources import Bounds
from app.adapters.tracing import WORKER, Traces
from app.contract import request_id
from app.domain.commands import STREAM_NAMES
from app.services.file_imports import FileRun, file_run
from app.settings import Settings
from app.store import workspaces
from app.store.alerts import Bounds as MessageBounds
from app.store.engine import Database
from app.store.inbox.log import Stored
from app.store.jobs import Job
from app.store.workspace_names import WorkspaceNames
from workers.apply import Applier
from workers.jobs import run as running
from workers.jobs.importing import Begin, Hooks
from workers.jobs.works import works

_ONE_TRY: Final = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}


def celery(settings: Settings, *, producer: bool = False) -> Celery:
    """The Celery application of workers, or of a producer, which waits for no broker longer than a second."""
    app = Celery("onefold", broker=settings.broker())
    prefix = settings.key_prefix
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        result_accept_content=["json"],
        event_serializer="json",
        task_ignore_result=True,
        # A doorbell may be lost: the sweeper finds the work. So nothing is ever delivered twice on purpose.
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        task_publish_retry=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        worker_soft_shutdown_timeout=5.0,
        worker_hijack_root_logger=False,
        task_default_queue="normal",
        # As workers would declare them anyway. Flower shows them before it has heard of any worker.
        task_queues=queues(),
        task_track_started=True,
        task_send_sent_event=False,
        worker_send_task_events=True,
        broker_transport_options={
            "global_keyprefix": prefix,
            "visibility_timeout": 120,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "unacked_mutex_expire": 15,
            "queue_order_strategy": "app.adapters.doorbell:WaitedForFirst",
            "socket_connect_timeout": TIMEOUT_SECONDS,
            # kombu would try for 6 s before it gives up a broker that refuses connections.
            **({"socket_timeout": TIMEOUT_SECONDS, **_ONE_TRY} if producer else {}),
        },
    )
    if behind := sentinels.parse(settings.broker_url or settings.redis()):
        app.conf.broker_transport_options.update(behind.celery_options(TIMEOUT_SECONDS))
        if behind.tls is not None:
            app.conf.broker_use_ssl = dict(behind.tls)
    if tls := broker_tls(settings.broker()):
        app.conf.broker_use_ssl = tls
    return app


def broker_tls(url: str) -> dict[str, object]:
    """How a broker `rediss://…?ssl_ca_certs=…` is known, as kombu wants it; the names are redis-py's.

    Of a URL kombu reads the scheme alone, and would go by the system's certificates. Empty where the broker speaks no
    TLS, or another protocol.
    """
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return {}
    asked = {name: values[-1] for name, values in parse_qs(parts.query).items() if name.startswith("ssl_")}
    check = asked.pop("ssl_check_hostname", "true").casefold() not in ("false", "0", "no")
    return {"ssl_cert_reqs": "required", "ssl_check_hostname": check, **asked}


def doorbell(settings: Settings, app: Celery, database: Database | None = None) -> Doorbell:
    """`database`: where the names of workspaces are, which Flower shows."""
    if database is None:
        return Doorbell(app, settings.redis(), settings.key_prefix)
    return Doorbell(app, settings.redis(), settings.key_prefix, WorkspaceNames(database))


def traces(settings: Settings, service: str) -> Traces | None:
    """The spans of this process; None where nobody asks for any. Not before a fork."""
    if not settings.traces_url:
        return None
    return tracing.begin(settings.traces_url, settings.traces_share, service)


def applying(settings: Settings) -> Database:
    """The database of a process that drains."""
    timeout = settings.database_timeout_seconds
    # One connection writes a batch, one reads for the next, and one for whatever that lacks.
    url, log_bytes = settings.worker_database(), settings.log_bytes()
    return Database(
        url,
        pool_size=3,
        apply=True,
        timeout_seconds=timeout,
        log_bytes=log_bytes,
        cache_megabytes=settings.sqlite_cache_megabytes,
    )


def applier(settings: Settings, bell: Doorbell, database: Database | None = None) -> Applier:
    """What a worker process drains with."""
    database = database or applying(settings)
    found = traces(settings, WORKER)
    return Applier(
        database,
        bell,
        now_us,
        lambda workspace_id: workspaces.secret(database, workspace_id),
        loaded_bytes=int(settings.loaded_megabytes * 1_000_000),
        resident_bytes=int(settings.resident_megabytes * 1_000_000),
        most_names=settings.catalogue_names,
        most_series=settings.max_series,
        on_applied=None if found is None else partial(_applied, found),
    )


def _applied(found: Traces, workspace_id: int, secret: bytes, requests: Sequence[Stored], began_ns: int) -> None:
    stream = requests[0].stream
    request_ids = [request_id.make(secret, workspace_id, stream, request.seq) for request in requests]
    found.applied(request_ids, workspace_id, STREAM_NAMES[stream], began_ns)


#: Of a file that somebody sent: a JSON document that is read as a whole, and the table of contents of a zip. In memory
#: both take about ten times as much.
IMPORT_DOCUMENT_BYTES: Final = 8 * 1024 * 1024
IMPORT_DIRECTORY_BYTES: Final = 4 * 1024 * 1024
#: How long a statement of a job may take.
JOB_STATEMENT_SECONDS: Final = 60.0


def files(settings: Settings) -> Files:
    return Files(settings.files_directory())


def working(settings: Settings) -> Database:
    """The database of a job worker. Its statements may take longer than those of others."""
    timeout = max(settings.database_timeout_seconds, JOB_STATEMENT_SECONDS)
    url, log_bytes = settings.worker_database(), settings.log_bytes()
    return Database(url, pool_size=2, timeout_seconds=timeout, log_bytes=log_bytes)


def job_runner(
    settings: Settings,
    ring: Callable[[tuple[int, int]], None] = lambda _stream: None,
    database: Database | None = None,
) -> tuple[running.Runner, Database]:
    """What a job worker works with. `ring`: as Doorbell.ring."""
    database = database or working(settings)
    parts = replace(job_parts(settings, database), ring=ring)
    return running.Runner(parts, works(begin_import(settings, database)), http_out(settings)), database


def begin_import(settings: Settings, database: Database) -> Begin:
    """What begins the imports of files that somebody sent."""
    megabyte = 1024 * 1024
    bounds = Bounds(settings.max_import_unpacked_megabytes * megabyte, IMPORT_DOCUMENT_BYTES, IMPORT_DIRECTORY_BYTES)

    def begin(job: Job, path: Path, hooks: Hooks) -> FileRun | None:
        return file_run(database, job, path, hooks, now_us, bounds, settings.max_import_files)

    return begin


def job_parts(settings: Settings, database: Database) -> running.Parts:
    """What the work of jobs is done with."""
    megabyte = 1024 * 1024
    limits = running.Limits(
        seconds=settings.job_seconds,
        file_bytes=settings.max_file_megabytes * megabyte,
        workspace_bytes=settings.max_workspace_file_megabytes * megabyte,
        file_seconds=settings.file_hours * 3600,
        deletion_seconds=settings.segment_deletion_days * 86_400,
        archival_profiles=settings.archival_profiles,
    )
    return running.Parts(
        database, files(settings), limits, now_us, lambda workspace_id: workspaces.secret(database, workspace_id)
    )


def mailer(settings: Settings) -> Mailer | None:
    """What sends e-mails; None where there is no mail server."""
    if not settings.smtp_host:
        return None
    password = "" if settings.smtp_password is None else settings.smtp_password.get_secret_value()
    return Mailer(
        MailServer(
            settings.smtp_host,
            settings.smtp_port,
            settings.smtp_security,
            settings.smtp_user,
            password,
            settings.smtp_from,
            settings.smtp_timeout_seconds,
        )
    )


def message_bounds(settings: Settings) -> MessageBounds:
    """Of the messages of alerts."""
    return MessageBounds(settings.alert_messages_per_hour, settings.max_alert_messages)


def http_out(settings: Settings) -> HttpOut:
    return HttpOut(allow_private=settings.http_allow_private)
