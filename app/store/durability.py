"""What PostgreSQL is set to do about crashes: whether that keeps what Onefold answers for."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text

from app.store.engine import Database

_SETTINGS: Final = text(
    "select current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes')"
)


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
