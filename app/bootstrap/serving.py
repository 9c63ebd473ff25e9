"""The services of an API process."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.adapters import runtime
from app.adapters.clock import now_ms, now_us
from app.adapters.metrics import Metrics, Readings
from app.adapters.remembered import RememberedNumbers
from app.adapters.tracing import API
from app.bootstrap.background import celery, doorbell, files, message_bounds, traces
from app.domain import times
from app.quota.limiter import Limiter
from app.services.accepting.acceptor import Acceptor
from app.services.accepting.backlog import BacklogWatch, Limits
from app.services.accepting.block_list import BlockList
from app.services.accepting.gate import Gate, GateLimits
from app.services.accepting.refused_requests import RefusedRequests
from app.services.accepting.ringing import Ringing
from app.services.accepting.writer import InboxWriter
from app.services.accounts import Accounts
from app.services.acts import Acts
from app.services.address_lists import AddressLists
from app.services.alerts import Alerts, AlertSettings
from app.services.api_keys import ApiKeys
from app.services.api_usage import ApiUsage, UsageCounter
from app.services.apps import Apps
from app.services.archives import Archives
from app.services.calls import StoreCalls, Threads
from app.services.canary import Canary
from app.services.catalogue import Catalogue
from app.services.connections import ConnectionLimits, Connections, fitting
from app.services.data_rules import DataRules
from app.services.database_watch import DatabaseWatch
from app.services.dead_letters import DeadLetters
from app.services.exporting import Exporter
from app.services.job_watch import JobWatch
from app.services.jobs import Bounds, Jobs
from app.services.keys import KeyRing
from app.services.lanes import Lanes
from app.services.limits import WorkspaceLimits
from app.services.log_ins import LogIns
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
from app.services.request_log import RequestLog
from app.services.sdk import SdkGateway, SdkLimits
from app.services.segment_deletions import SegmentDeletions
from app.services.segments import Segments
from app.services.series import Series
from app.services.spam_blocks import SpamBlocks
from app.services.subscription_groups import SubscriptionGroups
from app.services.subscriptions import Subscriptions
from app.services.synchronous import Synchronous
from app.services.testing import Testing
from app.services.uploads import Bounds as UploadBounds
from app.services.uploads import Uploads
from app.services.waiting import Waiting
from app.services.webhooks import Webhooks, WebhookSettings
from app.services.workspace_deletions import WorkspaceDeletions
from app.services.workspace_settings import WorkspaceSettings
from app.services.workspaces import Workspaces
from app.settings import Settings
from app.store import migrate
from app.store.engine import Database, ping

log = structlog.get_logger()

NO_ANSWER: Final = "The database does not answer."
#: How long a flush of the inbox waits for the counter row of a workspace.
LOCK_SECONDS: Final = 0.5
#: How long counts of calls wait for the database, before they wait for the next time.
USAGE_SECONDS: Final = 10.0
#: How long a password of the console may take, with those that are before it.
PASSWORD_SECONDS: Final = 10.0
#: How long a request waits to hear which profiles are blocked; then it is accepted, and dropped when it is applied.
BLOCK_LIST_SECONDS: Final = 0.25
#: To the database, of what stores requests: it, those that wait for a row, and as many again for a moment.
WRITING_CONNECTIONS: Final = 4


def services(settings: Settings) -> Services:
    """The services of one API process. Call inside its event loop."""
    seconds, log_bytes = settings.database_timeout_seconds, settings.log_bytes()
    database = Database(settings.database(), pool_size=8, timeout_seconds=seconds, log_bytes=log_bytes)
    executor = ThreadPoolExecutor(2, thread_name_prefix="keys")
    store_threads = Threads("store", settings.store_threads)
    bell = doorbell(settings, celery(settings, producer=True), database)
    quotas = limiter(settings)
    # A connection of its own: whoever holds one workspace's counter row must not hold up the others for long.
    writing = Database(
        settings.database(),
        pool_size=max(WRITING_CONNECTIONS, settings.node_writers),
        timeout_seconds=seconds,
        lock_seconds=LOCK_SECONDS,
        log_bytes=log_bytes,
    )
    ringing = Ringing(bell, settings.redis())
    writer = InboxWriter(
        writing, now_us, settings.answer_seconds, ringing.ring, settings.max_message_ids, settings.node_writers
    )
    calls = StoreCalls(store_threads, settings.answer_seconds, database.is_away)
    # Threads of their own, so that counting holds up no other call.
    counting_threads = Threads("segments", 2)
    counting = StoreCalls(counting_threads, settings.segment_seconds, database.is_away)
    watch = BacklogWatch(database, calls, now_us, backlog_limits(settings))
    watch.start()
    body_threads = Threads("bodies", 2, most=1)
    groups = SubscriptionGroups(database, calls, now_us, settings.max_subscription_groups)
    # A thread of its own: accepting does not wait for reading.
    block_threads = Threads("blocks", 1)
    block_list = BlockList(database, StoreCalls(block_threads, BLOCK_LIST_SECONDS, database.is_away))
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
        traces=traces(settings, API),
    )
    acceptor.refused_events.start()
    # Threads of its own as well, one at a time for a workspace: looking for requests holds up no other call.
    log_threads = Threads("request log", 2, most=1)
    log_calls = StoreCalls(log_threads, settings.answer_seconds, database.is_away)
    refused_requests = RefusedRequests(database, log_calls, now_us, settings.refused_per_second)
    refused_requests.start()
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
            calls_bytes=settings.max_tracking_batch_kilobytes * 1024,
            call_bytes=settings.max_tracking_call_kilobytes * 1024,
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
    password_threads = Threads("passwords", 1)
    hashing = StoreCalls(password_threads, PASSWORD_SECONDS)
    idle_us = int(settings.console_session_hours * times.HOUR)
    canary = Canary(database, writer, waiting, calls, now_us, settings.canary_seconds)
    if settings.canary_seconds:
        canary.start()
    trusted_proxies = parse_networks(settings.trusted_proxies.split(","))
    connections = Connections(connection_limits(settings), trusted_proxies)
    job_watch = JobWatch(database, calls)
    job_watch.start()
    remembered = RememberedNumbers(settings.redis(), settings.key_prefix)
    database_watch = DatabaseWatch(database, calls, remembered, settings.standbys)
    database_watch.start()
    # A thread of its own: an answer is counted whatever others wait for.
    usage_threads = Threads("usage", 1)
    usage_counter = UsageCounter(database, StoreCalls(usage_threads, USAGE_SECONDS), now_us)
    usage_counter.start()
    readings = ApiReadings(
        database,
        watch,
        writer,
        acceptor,
        quotas,
        bell,
        gate,
        connections,
        canary,
        job_watch,
        database_watch,
        gateway.counts,
        usage_counter,
        refused_requests,
        now_us,
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
        await usage_counter.aclose()
        await refused_requests.aclose()
        await watch.aclose()
        await job_watch.aclose()
        await database_watch.aclose()
        await writer.aclose()
        await ringing.aclose()
        bell.close()
        await quotas.aclose()
        await store_threads.aclose()
        await body_threads.aclose()
        await counting_threads.aclose()
        await block_threads.aclose()
        await usage_threads.aclose()
        await password_threads.aclose()
        await log_threads.aclose()
        executor.shutdown(wait=True)
        writing.dispose()
        database.dispose()

    return Services(
        connections=connections,
        gate=gate,
        alerts=Alerts(database, calls, now_us, alert_settings(settings)),
        webhooks=Webhooks(database, calls, now_us, webhook_settings(settings)),
        usage=ApiUsage(database, calls),
        usage_counter=usage_counter,
        testing=Testing(database, calls, keys.forget) if settings.test_mode else None,
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
        uploads=uploads(settings, database, calls, bell.ring_jobs),
        archives=Archives(database, reader, calls, started),
        segments=segments,
        segment_deletions=SegmentDeletions(segments, started),
        series=Series(database, reader, segments, now_us),
        spam_blocks=SpamBlocks(database, reader, synchronous, calls),
        workspace_deletions=WorkspaceDeletions(database, calls, now_us, keys.forget),
        accounts=Accounts(database, calls, hashing, now_us),
        log_ins=LogIns(database, calls, hashing, now_us, idle_us, settings.console_logins_per_minute),
        acts=Acts(database, calls, now_us),
        api_keys=ApiKeys(database, calls, now_us, keys.forget),
        workspaces=Workspaces(database, calls, now_us),
        workspace_settings=WorkspaceSettings(database, calls, now_us, keys.forget),
        lanes=Lanes(database, calls, now_us),
        previews=Previews(database, reader, calls, segments, started, now_us, settings.answer_seconds),
        reader=reader,
        request_log=RequestLog(database, log_calls),
        refused_requests=refused_requests,
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
        demo_sdk_key=settings.demo_sdk_key,
        trusted_proxies=trusted_proxies,
        public_url=settings.public_url.rstrip("/"),
        flower_url=settings.flower_url,
        answer_seconds=settings.answer_seconds,
    )


def alert_settings(settings: Settings) -> AlertSettings:
    """What an API process, or a command, has to know of alerts."""
    return AlertSettings(
        most=settings.max_alerts,
        bounds=message_bounds(settings),
        allow_private=settings.http_allow_private,
        mail=bool(settings.smtp_host),
        server=settings.public_url,
    )


def webhook_settings(settings: Settings) -> WebhookSettings:
    """What an API process, or a command, has to know of change webhooks."""
    return WebhookSettings(settings.max_webhooks, settings.http_allow_private, settings.max_webhook_members)


def jobs(settings: Settings, database: Database, calls: StoreCalls, ring: Callable[[], None]) -> Jobs:
    """The jobs of an API process, or of a command."""
    megabyte = 1024 * 1024
    bounds = Bounds(settings.max_jobs, settings.max_workspace_file_megabytes * megabyte, settings.http_allow_private)
    return Jobs(database, calls, files(settings), bounds, now_us, ring, settings.public_url)


def uploads(settings: Settings, database: Database, calls: StoreCalls, ring: Callable[[], None]) -> Uploads:
    """What takes the files of imports."""
    megabyte = 1024 * 1024
    bounds = UploadBounds(
        settings.max_import_megabytes * megabyte,
        settings.max_workspace_file_megabytes * megabyte,
        settings.max_jobs,
        settings.receive_timeout_seconds,
    )
    return Uploads(database, calls, files(settings), bounds, now_us, ring, settings.public_url)


def limiter(settings: Settings) -> Limiter:
    """The quotas in Redis. Call inside an event loop."""
    return Limiter(
        settings.redis(),
        settings.key_prefix,
        now_ms=now_ms,
        on_transition=_report_quota,
        local_share=settings.quota_local_share,
        timeout_s=settings.quota_timeout_seconds,
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


def backlog_limits(settings: Settings) -> Limits:
    """How far behind a stream may be. In test mode the clock is set, so how long something has waited says nothing."""
    if settings.test_mode:
        return Limits(settings.backlog_requests, 0, 0)
    return Limits(settings.backlog_requests, settings.backlog_seconds, settings.backlog_bulk_seconds)


def _report_quota(down: bool) -> None:
    log.warning("quota_degraded" if down else "quota_restored")
