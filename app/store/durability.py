"""What PostgreSQL is set to do about crashes, and about readers on the way: whether that keeps what Onefold answers
for."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from sqlalchemy import text

from app.store.engine import Database

_SETTINGS: Final = text(
    "select current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes')"
)
_ARCHIVE: Final = text(
    "select current_setting('archive_mode'), (extract(epoch from last_archived_time) * 1000000)::bigint,"
    " coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) from pg_stat_archiver"
)
_TRANSPORT: Final = text("select ssl, host(inet_server_addr()) from pg_stat_ssl where pid = pg_backend_pid()")


@dataclass(frozen=True, slots=True)
class Durability:
    """Settings of the server, as text. Onefold raises a `synchronous_commit` of `off` or `local` for itself, see
    `Database.write`; it cannot raise the others."""

    synchronous_commit: str = "on"
    fsync: str = "on"
    full_page_writes: str = "on"

    @property
    def raised(self) -> bool:
        """Whether commits that are answered for wait for the disk because Onefold says so."""
        return self.synchronous_commit in ("off", "local")

    @property
    def unsafe(self) -> tuple[str, ...]:
        """Names of settings with which a crash of the machine loses or breaks what was accepted."""
        return tuple(name for name in ("fsync", "full_page_writes") if getattr(self, name) != "on")


def read(database: Database) -> Durability:
    """The settings of this server, role and database. SQLite's are ours. Raises what the database raises."""
    if not database.is_postgresql:
        return Durability()
    with database.read() as connection:
        return Durability(*connection.execute(_SETTINGS).one())


@dataclass(frozen=True, slots=True)
class Archive:
    """What PostgreSQL does with its WAL beside keeping it: whether it archives it, of when the last is that it did
    (microseconds), and whether it failed since."""

    on: bool
    last_us: int | None
    failing: bool


def archive(database: Database) -> Archive:
    """PostgreSQL's archiver. Raises what the database raises."""
    with database.read() as connection:
        mode, last_us, failing = connection.execute(_ARCHIVE).one()
    return Archive(mode != "off", last_us, bool(failing))


def is_private(database: Database) -> bool:
    """Whether nobody on the way reads what goes to PostgreSQL: it is encrypted, or does not leave this machine."""
    with database.read() as connection:
        encrypted, host = connection.execute(_TRANSPORT).one()
    return bool(encrypted) or host is None or is_loopback(host)


def is_loopback(host: str) -> bool:
    """Whether an address, or a name, is this machine's own."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
