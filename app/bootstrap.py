"""The only module that knows every class: builds the services of an API process and the parts of a worker."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import structlog
from celery import Celery
from sqlalchemy.exc import SQLAlchemyError

from app.adapters import runtime
from app.adapters.doorbell import TIMEOUT_SECONDS, Doorbell
from app.adapters.files import Files
from app.adapters.http_out import HttpOut
from app.adapters.metrics import Metrics, Readings
from app.quota.limiter import Limiter
from app.services.accepting.acceptor import Acceptor
from app.services.accepting.backlog import BacklogWatch, Limits
from app.services.accepting.block_list import BlockList
from app.services.accepting.gate import Gate, GateLimits
from app.services.accepting.writer import InboxWriter
from app.services.address_lists import AddressLists
from app.services.apps import Apps
from app.services.archives import Archives
from app.services.calls import StoreCalls, Threads
from app.services.canary import Canary
from app.services.catalogue import Catalogue
from app.services.connections import ConnectionLimits, Connections, fitting
from app.services.data_rules import DataRules
from app.services.dead_letters import DeadLetters
from app.services.exporting import Exporter
from app.services.job_watch import JobWatch
from app.services.jobs import Bounds, Jobs
from app.services.keys import KeyRing
from app.services.limits import WorkspaceLimits
from app.services.merge_runs import MergeRuns
from app.services.merges import Merges
from app.services.messages import Messages
from app.services.networks import parse_networks
from app.services.people import People
from app.services.previews import Previews
from app.services.rates import WorkspaceRates
from app.services.readiness import Readiness
from app.services.reading import Reader
from app.services.readings import ApiReadings
from app.services.registry import Services
from app.services.sdk import SdkGateway, SdkLimits
from app.services.segment_deletions import SegmentDeletions
from app.services.segments import Segments
from app.services.series import Series
from app.services.spam_blocks import SpamBlocks
from app.services.subscription_groups import SubscriptionGroups
from app.services.subscriptions import Subscriptions
from app.services.synchronous import Synchronous
from app.services.waiting import Waiting
from app.services.workspace_deletions import WorkspaceDeletions
from app.settings import Settings
from app.store import migrate, workspaces
from app.store.engine import Database, ping
from workers.apply import Applier
from workers.jobs import run as running
from workers.jobs.works import WORKS

log = structlog.get_logger()

NO_ANSWER: Final = "The database does not answer."


_ONE_TRY: Final = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}


def now_us() -> int:
    """The wall clock in microseconds."""
    return time.time_ns() // 1000


def now_ms() -> int:
    """The wall clock in milliseconds."""
    return time.time_ns() // 1_000_000


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
    return app


def doorbell(settings: Settings, app: Celery) -> Doorbell:
    return Doorbell(app, settings.redis(), settings.key_prefix)


def applier(settings: Settings, bell: Doorbell) -> Applier:
    """What a worker process drains with."""
    timeout = settings.database_timeout_seconds
    database = Database(settings.worker_database(), pool_size=2, apply=True, timeout_seconds=timeout)
    return Applier(
        database,
        bell,
        now_us,
        lambda workspace_id: workspaces.secret(database, workspace_id),
        loaded_bytes=int(settings.loaded_megabytes * 1_000_000),
        most_names=settings.catalogue_names,
        most_series=settings.max_series,
    )


def files(settings: Settings) -> Files:
    return Files(settings.files_directory())


def jobs(settings: Settings, database: Database, calls: StoreCalls, ring: Callable[[], None]) -> Jobs:
    """The jobs of an API process, or of a command."""
    megabyte = 1024 * 1024
    bounds = Bounds(settings.max_jobs, settings.max_workspace_file_megabytes * megabyte, settings.http_allow_private)
    return Jobs(database, calls, files(settings), bounds, now_us, ring, settings.public_url)


def job_runner(
    settings: Settings, ring: Callable[[tuple[int, int]], None] = lambda _stream: None
) -> tuple[running.Runner, Database]:
    """What a job worker works with. Its statements may take longer than those of others. `ring`: as Doorbell.ring."""
    timeout = max(settings.database_timeout_seconds, JOB_STATEMENT_SECONDS)
    database = Database(settings.worker_database(), pool_size=2, timeout_seconds=timeout)
    parts = replace(job_parts(settings, database), ring=ring)
    return running.Runner(parts, WORKS, http_out(settings)), database


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


def http_out(settings: Settings) -> HttpOut:
    return HttpOut(allow_private=settings.http_allow_private)


def limiter(settings: Settings) -> Limiter:
    """The quotas in Redis. Call inside an event loop."""
    return Limiter(
        settings.redis(),
        settings.key_prefix,
        now_ms=now_ms,
        on_transition=_report_quota,
        local_share=settings.quota_local_share,
    )


#: How long a statement of a job may take.
JOB_STATEMENT_SECONDS: Final = 60.0
#: How long a flush of the inbox waits for the counter row of a workspace.
LOCK_SECONDS: Final = 0.5
#: How long a request waits to hear which profiles are blocked; then it is accepted, and dropped when it is applied.
BLOCK_LIST_SECONDS: Final = 0.25


@asynccontextmanager
async def direct_calls() -> AsyncIterator[StoreCalls]:
    """Calls of the store for a command, which nobody waits for in vain: one at a time, and each may take a minute."""
    threads = Threads("store", 1)
    try:
        yield StoreCalls(threads, 60.0)
    finally:
        await threads.aclose()


def services(settings: Settings) -> Services:
    """The services of one API process. Call inside its event loop."""
    database = Database(settings.database(), pool_size=8, timeout_seconds=settings.database_timeout_seconds)
    executor = ThreadPoolExecutor(2, thread_name_prefix="keys")
    store_threads = Threads("store", settings.store_threads)
    bell = doorbell(settings, celery(settings, producer=True))
    quotas = limiter(settings)
    # A connection of its own: whoever holds one workspace's counter row must not hold up the others for long.
    seconds = settings.database_timeout_seconds
    writing = Database(settings.database(), pool_size=2, timeout_seconds=seconds, lock_seconds=LOCK_SECONDS)
    writer = InboxWriter(writing, now_us, settings.answer_seconds, bell.ring)
    calls = StoreCalls(store_threads, settings.answer_seconds)
    # Threads of their own, so that counting holds up no other call.
    counting_threads = Threads("segments", 2)
    counting = StoreCalls(counting_threads, settings.segment_seconds)
    limits = Limits(settings.backlog_requests, settings.backlog_seconds, settings.backlog_bulk_seconds)
    watch = BacklogWatch(database, calls, now_us, limits)
    watch.start()
    body_threads = Threads("bodies", 2, most=1)
    groups = SubscriptionGroups(database, calls, now_us, settings.max_subscription_groups)
    # A thread of its own: accepting does not wait for reading.
    block_threads = Threads("blocks", 1)
    block_list = BlockList(database, StoreCalls(block_threads, BLOCK_LIST_SECONDS))
    apps = Apps(database, calls, now_us, settings.max_apps)
    acceptor = Acceptor(
        quotas,
        writer,
        watch,
        body_threads,
        settings.answer_seconds,
        groups,
        block_list,
        apps,
        ietf_headers=settings.ietf_ratelimit_headers,
    )
    acceptor.refused_events.start()
    waiting = Waiting(database, calls, bell.ring_waiting)
    keys = KeyRing(
        database,
        executor,
        settings.key_cache_seconds,
        settings.answer_seconds,
        now_us,
        settings.failures_per_minute,
    )
    gateway = SdkGateway(
        database,
        executor,
        keys,
        acceptor,
        groups,
        SdkLimits(
            per_device=settings.sdk_batches_per_device,
            per_address=settings.sdk_batches_per_address,
            per_app=settings.sdk_batches_per_app,
            bytes=settings.max_sdk_batch_kilobytes * 1024,
            records=settings.max_sdk_records,
        ),
        now_us,
        settings.key_cache_seconds,
        settings.answer_seconds,
    )
    synchronous = Synchronous(database, acceptor, waiting, calls, settings.sync_wait_seconds)
    reader = Reader(database, waiting, calls, now_us, settings.read_wait_seconds)
    whole_bytes = int(settings.stream_megabytes * 1024 * 1024)
    started = jobs(settings, database, calls, bell.ring_jobs)
    gate = Gate(
        GateLimits(
            requests=settings.max_requests,
            bytes=settings.max_megabytes_in_hand * 1024 * 1024,
            strangers=settings.max_unknown_requests_per_address,
            values=settings.max_json_values,
        )
    )
    canary = Canary(database, writer, waiting, calls, now_us, settings.canary_seconds)
    if settings.canary_seconds:
        canary.start()
    trusted_proxies = parse_networks(settings.trusted_proxies.split(","))
    connections = Connections(connection_limits(settings), trusted_proxies)
    job_watch = JobWatch(database, calls)
    job_watch.start()
    readings = ApiReadings(
        database, watch, writer, acceptor, quotas, bell, gate, connections, canary, job_watch, now_us
    )

    segments = Segments(database, reader, calls, counting, now_us, settings.max_segments)

    async def readiness() -> str | None:
        try:
            async with asyncio.timeout(settings.answer_seconds):
                return await asyncio.get_running_loop().run_in_executor(executor, problem_with, database)
        except TimeoutError:
            return NO_ANSWER

    async def aclose() -> None:
        await canary.aclose()
        await acceptor.refused_events.aclose()
        await watch.aclose()
        await job_watch.aclose()
        await writer.aclose()
        bell.close()
        await quotas.aclose()
        await store_threads.aclose()
        await body_threads.aclose()
        await counting_threads.aclose()
        await block_threads.aclose()
        executor.shutdown(wait=True)
        writing.dispose()
        database.dispose()

    return Services(
        connections=connections,
        gate=gate,
        metrics=Metrics(),
        readings=Readings(readings.read),
        metrics_token=settings.metrics_token.get_secret_value() if settings.metrics_token is not None else "",
        keys=keys,
        acceptor=acceptor,
        synchronous=synchronous,
        data_rules=DataRules(database, synchronous, calls),
        catalogue=Catalogue(database, reader),
        rates=WorkspaceRates(database, acceptor, synchronous, calls),
        address_lists=AddressLists(database, reader, calls, now_us),
        messages=Messages(database, reader, calls),
        subscription_groups=groups,
        apps=apps,
        sdk=gateway,
        subscriptions=Subscriptions(database, acceptor, reader, groups, calls, now_us),
        jobs=started,
        archives=Archives(database, reader, calls, started),
        segments=segments,
        segment_deletions=SegmentDeletions(segments, started),
        series=Series(database, reader, segments, now_us),
        spam_blocks=SpamBlocks(database, reader, synchronous, calls),
        workspace_deletions=WorkspaceDeletions(database, calls, now_us, keys.forget),
        previews=Previews(database, reader, calls, segments, started, now_us, settings.answer_seconds),
        reader=reader,
        people=People(database, reader, segments),
        exporter=Exporter(database, reader, calls, now_us, whole_bytes, settings.answer_seconds),
        merges=Merges(database, reader, synchronous, calls, now_us),
        merge_runs=MergeRuns(
            database, reader, calls, now_us, bell.ring_jobs, settings.max_jobs, settings.answer_seconds
        ),
        dead_letters=DeadLetters(database, calls, now_us, bell.ring),
        limits=WorkspaceLimits(database, calls, quotas, now_us, keys.forget, settings.limit_ceiling_per_second),
        readiness=Readiness(readiness).problem,
        aclose=aclose,
        receive_timeout_seconds=settings.receive_timeout_seconds,
        docs=settings.docs,
        trusted_proxies=trusted_proxies,
        answer_seconds=settings.answer_seconds,
    )


def connection_limits(settings: Settings) -> ConnectionLimits:
    """What the settings allow, and the descriptors of this process."""
    return ConnectionLimits(
        most=fitting(settings.max_connections, runtime.descriptors()),
        most_per_address=settings.max_connections_per_address,
        head_seconds=settings.head_timeout_seconds,
        send_seconds=settings.send_timeout_seconds,
    )


def problem_with(database: Database) -> str | None:
    """What keeps the database from serving, in words for an operator; None when nothing does."""
    try:
        ping(database)
        return None if migrate.is_current(database) else "The database schema is not current: run `onefold migrate`."
    except SQLAlchemyError:
        return NO_ANSWER


def _report_quota(down: bool) -> None:
    log.warning("quota_degraded" if down else "quota_restored")
