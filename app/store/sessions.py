"""Sessions of ours that stand still inside a transaction, and hold the locks that everybody waits for."""

from typing import Final

from sqlalchemy import text

from app.store.engine import Database

#: What idle_in_transaction_session_timeout is for, but cannot do where the client speaks in pipelines (PostgreSQL 15 to
#: 18). A session that waits for the rest of a pipeline counts as active. And a Flush that follows a Sync, as psycopg
#: sends it at a pipeline's end, stops the clock of the idle session and does not start it again.
_END: Final = text(
    """
    select count(pg_terminate_backend(pid)) from pg_stat_activity
    where datname = current_database() and usename = current_user and starts_with(application_name, 'onefold')
      and pid <> pg_backend_pid() and xact_start is not null and wait_event = 'ClientRead'
      and greatest(query_start, state_change) < clock_timestamp() - make_interval(secs => :seconds)
    """
)


def end_stalled(database: Database) -> int:
    """End sessions whose client has stopped in mid-transaction for the database's timeout; how many (SQLite: 0)."""
    if not database.is_postgresql:
        return 0
    with database.read() as connection:
        return int(connection.execute(_END, {"seconds": database.timeout_seconds}).scalar() or 0)
