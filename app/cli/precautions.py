"""Of `onefold doctor`: whether there are backups, whether the database was put back to one, whether commits reach the
standbys that they should, whether connections can be read on their way, and whether another server could take the place
of a Redis that is behind sentinels."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from app import sentinels
from app.adapters import redis_group
from app.adapters.clock import now_us
from app.adapters.remembered import RememberedNumbers
from app.cli.backups import shown
from app.cli.context import fail, missing
from app.domain.times import HOUR
from app.services import backups
from app.settings import Settings
from app.store import durability, origin
from app.store import standbys as followers
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.origin import Doubt

_NO_ARCHIVE: Final = "set archive_mode and archive_command, and take base backups: see Backups in docs/operations.md"


def backup(settings: Settings) -> tuple[str, bool, str, str]:
    """When the last backup was made; red where that is longer ago than ONEFOLD_BACKUP_HOURS, or archiving fails."""
    unknown = ("backups", False, "unknown", "the database has to answer first")
    if missing(settings) is not None:
        return unknown
    if not settings.database_url:
        known = backups.record(settings.data_dir)
        restored = "" if known.restored_us is None else f"; restored at {shown(known.restored_us)}"
        return _aged(settings, "last", known.taken_us, "run `onefold backup FILE`", restored)
    database = Database(settings.database())
    try:
        archive = durability.archive(database)
    except SQLAlchemyError:
        return unknown
    finally:
        database.dispose()
    if archive.failing:
        return ("backups", False, "archiving the WAL fails", "see the server's log: archive_command")
    if not archive.on:
        return _aged(settings, "last WAL archived", None, _NO_ARCHIVE, " (archive_mode is off)")
    return _aged(settings, "last WAL archived", archive.last_us, "see pg_stat_archiver: nothing was archived for long")


#: What each doubt means, and what to do.
_DOUBTS: Final = {
    Doubt.TIMELINE: (
        "another timeline: a standby took over, or it was restored to a moment",
        "run `onefold db restored`; with --nothing-lost where the standby had everything",
    ),
    Doubt.ELSEWHERE: (
        "not where it was: a dump was restored, or it was moved",
        "run `onefold db restored`; with --nothing-lost where nothing ran meanwhile",
    ),
    Doubt.BACK: (
        "put back to an earlier moment: ids are given out twice",
        "stop APIs and workers, run `onefold db restored`, start them again",
    ),
    Doubt.TORN: (
        "of two moments: more is applied than accepted",
        "`onefold restore` both files of one backup; without one, `onefold db restored`: what waited is lost",
    ),
}


def doubt(settings: Settings, database: Database) -> Doubt | None:
    """Why ids of this database may be given out twice, as far as it and Redis tell. Raises SQLAlchemyError."""
    if origin.torn(database):
        return Doubt.TORN
    with database.read() as connection:
        found = origin.read(connection)
    if found is None:
        return None
    remembered = RememberedNumbers(settings.redis(), settings.key_prefix)
    try:
        numbers, back = remembered.read(found.key)
    except (RedisError, OSError):
        return found.doubt
    finally:
        remembered.close()
    with database.read(database.inbox) as connection:
        heads = inbox.heads(connection)
    return Doubt.BACK if back or origin.fallen(numbers, heads) else found.doubt


def told(found: Doubt) -> str:
    """A doubt, in a line for whoever starts something."""
    state, advice = _DOUBTS[found]
    return f"The database is {state}. To do: {advice}."


def restored(settings: Settings) -> tuple[str, bool, str, str]:
    """Whether the database was put back to an earlier moment, and nobody said so."""
    unknown = ("numbers", False, "unknown", "the database has to answer first")
    if missing(settings) is not None:
        return unknown
    database = Database(settings.database())
    try:
        found = doubt(settings, database)
    except SQLAlchemyError:
        return unknown
    finally:
        database.dispose()
    return ("numbers", True, "none is given out twice", "") if found is None else ("numbers", False, *_DOUBTS[found])


def confirm(settings: Settings, database: Database) -> None:
    """The database is in another place, and has all that it had. Refuses where it has not."""
    found = doubt(settings, database)
    if found in (Doubt.BACK, Doubt.TORN):
        raise fail(told(found))
    with database.write() as connection:
        origin.confirm(connection)


def standbys(settings: Settings) -> Iterator[tuple[str, bool, str, str]]:
    """PostgreSQL: whether the standbys are there that commits wait for, and are as many as are wanted."""
    if not settings.database_url:
        return
    database = Database(settings.database())
    try:
        found = followers.read(database)
    except SQLAlchemyError:
        yield ("standbys", False, "unknown", "the database has to answer first")
        return
    finally:
        database.dispose()
    wanted = max(settings.standbys, found.asked)
    if found.asked < settings.standbys:
        state, advice = f"commits wait for {found.asked} of {wanted}", "set synchronous_standby_names"
    elif found.following is None:
        state, advice = (
            f"commits wait for {wanted}",
            "to see whether they are there: grant pg_read_all_stats to our role",
        )
    else:
        state, advice = f"{found.following} follow, commits wait for {wanted}", "start a standby: commits wait for ever"
    yield ("standbys", not found.lacking(settings.standbys) and found.asked >= settings.standbys, state, advice)


def _aged(settings: Settings, what: str, us: int | None, advice: str, more: str = "") -> tuple[str, bool, str, str]:
    most, now = settings.backup_hours * HOUR, now_us()
    state = (f"{what}: none" if us is None else f"{what}: {shown(us)}") + more
    return ("backups", not most or (us is not None and now - us <= most), state, advice)


def sentinels_of(settings: Settings) -> Iterator[tuple[str, bool, str, str]]:
    """Where Redis is behind sentinels: whether another server could take the place of the primary."""
    for name, url in (("sentinels", settings.redis()), ("sentinels of the broker", settings.broker_url)):
        if behind := sentinels.parse(url):
            found = redis_group.look(behind)
            state = f"{found.answering} of {found.asked} answer, {found.replicas} replicas"
            advice = "no other server can take the primary's place: start what is away; see docs/scale.md"
            yield (name, found.can_fail_over, state, advice)


def transport(settings: Settings) -> tuple[str, bool, str, str]:
    """Whether connections to servers leave this machine unencrypted; red in production only."""
    plain = [] if _is_private(settings.redis()) else ["Redis"]
    if not all(_is_private(each) for each in settings.broker_url.split(";") if each):
        plain.append("the broker")
    if settings.smtp_host and settings.smtp_security == "none" and not durability.is_loopback(settings.smtp_host):
        plain.append("the mail server")
    if settings.database_url:
        database = Database(settings.database())
        try:
            if not durability.is_private(database):
                plain.insert(0, "PostgreSQL")
        except SQLAlchemyError:
            return ("encryption", False, "unknown", "the database has to answer first")
        finally:
            database.dispose()
    if not plain:
        return ("encryption", True, "nothing leaves this machine unencrypted", "")
    advice = "use sslmode=verify-full, rediss://, amqps://, ONEFOLD_SMTP_SECURITY: see TLS in docs/operations.md"
    return ("encryption", not settings.is_production, f"{', '.join(plain)}: not encrypted", advice)


def _is_private(url: str) -> bool:
    if behind := sentinels.parse(url):
        return behind.tls is not None or all(durability.is_loopback(host) for host, _ in behind.hosts)
    parts = urlsplit(url)
    if parts.scheme in ("unix", "redis+socket", "rediss", "amqps"):
        return True
    return durability.is_loopback(parts.hostname or "localhost")
