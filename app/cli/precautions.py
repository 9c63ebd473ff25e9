"""Of `onefold doctor`: whether there are backups, whether connections can be read on their way, and whether another
server could take the place of a Redis that is behind sentinels."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError

from app import sentinels
from app.adapters import redis_group
from app.adapters.clock import now_us
from app.cli.backups import shown
from app.cli.context import missing
from app.domain.times import HOUR
from app.services import backups
from app.settings import Settings
from app.store import durability
from app.store.engine import Database

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
    """Whether the connections to PostgreSQL and Redis leave this machine unencrypted; red in production only."""
    plain = [] if _is_private(settings.redis()) else ["Redis"]
    if settings.broker_url and not _is_private(settings.broker_url):
        plain.append("the broker")
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
    advice = "use sslmode=verify-full and rediss://: see PostgreSQL and Redis in docs/operations.md"
    return ("encryption", not settings.is_production, f"{' and '.join(plain)}: not encrypted", advice)


def _is_private(url: str) -> bool:
    if behind := sentinels.parse(url):
        return all(durability.is_loopback(host) for host, _ in behind.hosts)
    parts = urlsplit(url)
    if parts.scheme in ("unix", "redis+socket", "rediss", "amqps"):
        return True
    return durability.is_loopback(parts.hostname or "localhost")
