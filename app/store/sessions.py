"""Sessions of ours that stand still inside a transaction, and hold the locks that everybody waits for."""

from typing import Final

from sqlalchemy import text

from app.store.engine import Database

#: idle_in_transaction_session_timeout does the same for a session that is idle. One whose client stops in the middle
#: of a pipeline counts as active: it waits for the rest of it, and no timeout of PostgreSQL 15 or 16 ends that.
_END: Final = text(
    """
    select count(pg_terminate_backend(pid)) from pg_stat_activity
    where datname = current_database() and usename = current_user and starts_with(application_name, 'onefold')
      and pid <> pg_backend_pid() and xact_start is not null and state = 'active' and wait_event = 'ClientRead'
      and query_start < clock_timestamp() - make_interval(secs => :seconds)
    """
)


def end_stalled(database: Database) -> int:
    """End sessions whose client has stopped in mid-transaction for the database's timeout; how many (SQLite: 0)."""
    if not database.is_postgresql:
        return 0
    with database.read() as connection:
        return int(connection.execute(_END, {"seconds": database.timeout_seconds}).scalar() or 0)
