"""`onefold doctor` and `onefold verify`: is everything there, and is everything right."""

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import redis
import typer
from celery.exceptions import CeleryError
from kombu.exceptions import KombuError
from redis.exceptions import RedisError, ResponseError
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from app.adapters import embedded
from app.adapters.clock import now_us
from app.adapters.doorbell import PROBE, client
from app.bootstrap import background
from app.cli import precautions
from app.cli.context import (
    DEFAULT_DATA_DIR,
    DEFAULT_WORKSPACE,
    DataDir,
    InWorkspace,
    fail,
    missing,
    opened_workspace,
    settings_for,
)
from app.cli.database_errors import reason
from app.cli.distribution import ADVICE
from app.cli.output import out, show_table
from app.domain.times import DAY
from app.settings import Settings, unknown
from app.store import dead_letters, distribution, durability, lane, migrate
from app.store.engine import DATABASE_ERRORS, Database, ping
from app.store.inbox import backlog
from app.store.inbox import log as inbox
from app.store.pooler import is_distributed
from app.store.retained import Keeping
from app.store.segments import upkeep
from workers import replay


def doctor(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Check every dependency and say what to do about what is missing."""
    settings = settings_for(data_dir)
    checks = [
        *_variables(),
        _database(settings),
        _durability(settings),
        _redis(settings),
        _workers(settings),
        _job_workers(settings),
    ]
    checks += [_backlog(settings), _lanes(settings), _dead_letters(settings), _values(settings)]
    checks += _nodes(settings)
    checks += [precautions.backup(settings), precautions.restored(settings), *precautions.standbys(settings)]
    checks += [precautions.transport(settings)]
    checks += precautions.sentinels_of(settings)
    table = Table("check", "state", "what to do")
    for name, ok, state, advice in checks:
        table.add_row(name, f"[green]{state}[/green]" if ok else f"[red]{state}[/red]", "" if ok else advice)
    show_table(table)
    if not all(ok for _, ok, _, _ in checks):
        raise typer.Exit(1)


Check = tuple[str, bool, str, str]
_UNKNOWN_BACKLOG: Final[Check] = ("backlog", False, "unknown", "the database has to answer first")


def _variables() -> list[Check]:
    """Variables of the environment that begin as settings do, and set nothing."""
    found = list(unknown(os.environ))
    if not found:
        return []
    return [("settings", False, "; ".join(found), "correct it, or take it away: see docs/settings.md")]


def _database(settings: Settings) -> Check:
    problem = missing(settings)
    if problem is not None:
        return ("SQLite", False, problem, "run `onefold up` or `onefold migrate`, or say where it is with --data-dir")
    database = Database(settings.database())
    kind = "PostgreSQL" if database.is_postgresql else "SQLite"
    try:
        ping(database)
        if not migrate.is_current(database):
            return (kind, False, "schema not current", "run `onefold migrate`")
    except SQLAlchemyError as error:
        advice = "check DATABASE_URL and that the server runs" if database.is_postgresql else "check --data-dir"
        return (kind, False, f"does not answer ({reason(error)})", advice)
    finally:
        database.dispose()
    return (kind, True, "answers, schema current", "")


def _durability(settings: Settings) -> Check:
    unknown = ("durability", False, "unknown", "the database has to answer first")
    if missing(settings) is not None:
        return unknown
    database = Database(settings.database())
    try:
        found = durability.read(database)
    except SQLAlchemyError:
        return unknown
    finally:
        database.dispose()
    if found.unsafe:
        advice = "turn it on in postgresql.conf: a crash of the machine may lose or break what was accepted"
        return ("durability", False, f"off: {', '.join(found.unsafe)}", advice)
    raised = f" (synchronous_commit = {found.synchronous_commit} is raised)" if found.raised else ""
    return ("durability", True, f"what is accepted is on the disk{raised}", "")


def _nodes(settings: Settings) -> list[Check]:
    """Of Citus, where there are some."""
    if missing(settings) is not None:
        return []
    database = Database(settings.database())
    try:
        with database.read() as connection:
            distributed = is_distributed(connection)
            names = distribution.nodes(connection) if distributed else []
            held = distribution.unsettled(connection) if distributed else ""
        away = database.look_for_nodes()
    except DATABASE_ERRORS:
        return []  # said by others
    finally:
        database.dispose()
    if not names:
        return []
    if away:
        advice = "start it, or its standby: its workspaces get 503 until then, and no partitions are made"
        return [("nodes", False, f"{', '.join(away)} does not answer; others leave its workspaces out", advice)]
    if held:
        return [("nodes", False, f"commits in doubt hold up their workspace {held} when a node is back", ADVICE)]
    return [("nodes", True, f"{len(names)} answering", "")]


def _redis(settings: Settings) -> Check:
    connection = client(settings.redis())
    try:
        connection.ping()
        found, policy = _about(connection)
    except (RedisError, OSError) as error:
        advice = "start it with `onefold up`, or set REDIS_URL"
        if embedded.binary() is None:
            advice = "no embedded Valkey for this platform: install redis-server and set REDIS_URL"
        return ("Redis", False, f"does not answer ({type(error).__name__})", advice)
    finally:
        connection.close()
    version = found.get("valkey_version") or found.get("redis_version")
    known = f"version {version}" if version else "and does not say which version it is"
    if policy is None:
        return ("Redis", True, f"answers, {known}, nor whether it evicts keys: see that it does not", "")
    if policy not in ("noeviction", b"noeviction"):
        return ("Redis", False, "may evict keys", "set maxmemory-policy noeviction: a lost quota refills at once")
    return ("Redis", True, f"answers, {known}", "")


def _about(connection: redis.Redis) -> tuple[Mapping[str, Any], str | bytes | None]:
    """(what a server says of itself, its eviction policy). Managed ones, and roles that may do little, are refused."""
    found: Mapping[str, Any] = {}
    with suppress(ResponseError):
        found = connection.info("server")
    for ask in (lambda: connection.info("memory").get("maxmemory_policy"), lambda: _configured(connection)):
        with suppress(ResponseError):
            if (policy := ask()) is not None:
                return found, policy
    return found, None


def _configured(connection: redis.Redis) -> str | bytes | None:
    policy: str | bytes | None = connection.config_get("maxmemory-policy").get("maxmemory-policy")
    return policy


def _workers(settings: Settings) -> Check:
    app = background.celery(settings, producer=True)
    try:
        replies = app.control.ping(timeout=1.0)
    except (KombuError, CeleryError, RedisError, OSError) as error:
        return ("workers", False, f"broker does not answer ({type(error).__name__})", "check BROKER_URL or REDIS_URL")
    replies = [name for reply in replies for name in reply if not name.startswith("jobs@")]
    if not replies:
        return ("workers", False, "none answers", "start `onefold worker`; until then the sweeper applies requests")
    return ("workers", True, f"{len(replies)} answering", "")


def _job_workers(settings: Settings) -> Check:
    """Job workers, and whether each sees a file that lies where this process, and the API beside it, look for files."""
    if missing(settings) is not None:  # looking would make the directory
        return ("job workers", False, "unknown", "the database has to answer first")
    files = background.files(settings)
    app = background.celery(settings, producer=True)
    try:
        with files.probe() as name:
            replies = app.control.broadcast(PROBE, arguments={"name": name}, reply=True, timeout=1.0)
    except OSError as error:
        advice = f"make {files.directory} writable, or set ONEFOLD_FILES"
        return ("job workers", False, f"no directory for files ({type(error).__name__})", advice)
    except (KombuError, CeleryError, RedisError) as error:
        return ("job workers", False, f"broker does not answer ({type(error).__name__})", "see workers")
    seen = {name: said for reply in replies for name, said in reply.items() if name.startswith("jobs@")}
    if not seen:
        return ("job workers", False, "none answers", "start `onefold jobs run`; until then jobs wait")
    if blind := sorted(name for name, said in seen.items() if not said.get("sees")):
        advice = "give ONEFOLD_FILES the same directory there and here"
        return ("job workers", False, f"{', '.join(blind)} has another directory for files", advice)
    return ("job workers", True, f"{len(seen)} answering, files shared", "")


def _backlog(settings: Settings) -> Check:
    if missing(settings) is not None:
        return _UNKNOWN_BACKLOG
    database = Database(settings.database())
    try:
        with database.read() as connection:
            cursors = lane.cursors(connection)
        with database.read(database.inbox) as connection:
            heads = inbox.heads(connection)
    except SQLAlchemyError:
        return _UNKNOWN_BACKLOG
    finally:
        database.dispose()
    queued = sum(head - cursors.get(place, 0) for place, head in heads.items())
    return ("backlog", True, f"{queued} requests queued", "")


def _dead_letters(settings: Settings) -> Check:
    unknown = ("dead letters", False, "unknown", "the database has to answer first")
    if missing(settings) is not None:
        return unknown
    database = Database(settings.database())
    try:
        with database.read() as connection:
            letters = dead_letters.unsent(connection, now_us())
    except SQLAlchemyError:
        return unknown
    finally:
        database.dispose()
    if not letters:
        return ("dead letters", True, "none to be sent again", "")
    counts = ", ".join(f"{number} in {name}" for name, number in letters.items())
    advice = "see `onefold dead-letters list`; once the reason is mended, `onefold dead-letters replay`"
    return ("dead letters", False, counts, advice)


#: Copies that fell behind within this long are told of, also where they were made anew since.
_BEHIND_US: Final = DAY


def _values(settings: Settings) -> Check:
    """PostgreSQL: whether what segments are counted from has everything that was applied."""
    unknown = ("segments", False, "unknown", "the database has to answer first")
    if missing(settings) is not None:
        return unknown
    database = Database(settings.database())
    try:
        if not database.is_postgresql:
            return ("segments", True, "counted from the profiles", "")
        with database.read() as connection:
            copies = upkeep.states(connection)
    except SQLAlchemyError:
        return unknown
    finally:
        database.dispose()
    recently = now_us() - _BEHIND_US
    if behind := [c for c in copies if c.behind or (c.behind_us is not None and c.behind_us > recently)]:
        numbers = ", ".join(str(copy.workspace_id) for copy in behind)
        advice = "restart every worker: one of an earlier version applied requests; the sweeper makes the copy anew"
        return ("segments", False, f"the copy of workspace {numbers} fell behind", advice)
    complete = sum(copy.filled for copy in copies)
    rest = "" if complete == len(copies) else f", {len(copies) - complete} being made or removed"
    return ("segments", True, f"{complete} copies complete{rest}", "")


#: The sweeper looks every second, so a request that waits longer does not wait for its turn.
_STANDS_SECONDS: Final = 60


def _lanes(settings: Settings) -> Check:
    """Lanes that do not move: their first request fails alone, or their oldest one has waited too long."""
    unknown = ("lanes", False, "unknown", "the database has to answer first")
    if missing(settings) is not None:
        return unknown
    database, started_us = Database(settings.database()), now_us()
    try:
        with database.read() as connection:
            standing = {key: f"{attempts} attempts" for key, attempts in lane.failing(connection).items()}
        for key, waiting in backlog.read(database, started_us).items():
            seconds = backlog.age_seconds(waiting, started_us)
            if seconds > _STANDS_SECONDS:
                standing.setdefault(key, f"{seconds:.0f} s")
    except SQLAlchemyError:
        return unknown
    finally:
        database.dispose()
    if not standing:
        return ("lanes", True, "none stands", "")
    told = ", ".join(
        f"workspace {key.workspace_id} {lane.STREAM_COLUMNS[key.stream]} ({why})"
        for key, why in sorted(standing.items())
    )
    return ("lanes", False, told, "look for attempt_failed and drain_failed in the logs of worker and sweeper")


def verify(workspace: InWorkspace = DEFAULT_WORKSPACE, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Replay the inbox of a workspace in memory and compare: stored profiles must equal the reference.

    Needs the whole inbox, so it works until the first requests have aged out. Says what it cannot compare, where an
    earlier version applied some of the requests. Reads only.
    """
    settings = settings_for(data_dir)
    with opened_workspace(data_dir, workspace) as (database, caller):
        try:
            found = replay.differences(
                database,
                caller.workspace_id,
                caller.workspace_secret,
                most_names=settings.catalogue_names,
                most_series=settings.max_series,
                now_us=now_us(),
                keeping=Keeping(settings.history_lines, settings.merge_record_days, settings.deletion_days),
            )
        except LookupError:
            raise fail("The inbox no longer goes back to the first request.") from None
        left_out = replay.not_compared(database, caller.workspace_id)
    if left_out:
        typer.echo(f"an earlier version applied some of the requests; not compared: {left_out}", err=True)
    for line in found:
        out.print(line, highlight=False)
    if found:
        raise typer.Exit(1)
    out.print("equal to the reference")
