"""PostgreSQL's own backups, as docs/operations.md has them: a base backup, archived WAL, a restore to a moment."""

import shutil
from typing import Final

import psycopg

from tests.polling import until
from tests.servers import PostgresServer

#: Settings of a server that archives its WAL, into `archive` in its home. Commands run in the directory of its data.
ARCHIVING: Final = {
    "archive_mode": "on",
    "archive_command": "mkdir -p ../archive && test ! -f ../archive/%f && cp %p ../archive/%f.tmp"
    " && mv ../archive/%f.tmp ../archive/%f",
}
RECOVERY_SECONDS: Final = 30.0


def base_backup(server: PostgresServer) -> None:
    """Into `base` in the server's home, while it runs. Raises ServerUnavailable."""
    shutil.rmtree(server.home / "base", ignore_errors=True)
    server.run("pg_basebackup", "-d", server.dsn, "--pgdata", str(server.home / "base"), "--checkpoint=fast")


def archive_all(server: PostgresServer) -> None:
    """Wait until everything that was written so far is archived."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        row = connection.execute("select pg_walfile_name(pg_switch_wal())").fetchone()
        assert row is not None
        until((server.home / "archive" / row[0]).exists, RECOVERY_SECONDS, message="the WAL is not archived")


def restore(server: PostgresServer, target: str = "", *, keep_wal: bool = False) -> None:
    """Start a server that does not run from its base backup and the archive: up to a restore point of that name, else
    up to the end. `keep_wal`: its own WAL is still there, with what was not archived yet."""
    data, lost = server.home / "data", server.home / "lost"
    shutil.rmtree(lost, ignore_errors=True)
    data.rename(lost)
    server.run("/bin/mkdir", "-m", "700", str(data))
    server.run("/bin/cp", "-a", f"{server.home / 'base'}/.", str(data))
    if keep_wal:
        shutil.rmtree(data / "pg_wal")
        server.run("/bin/cp", "-a", str(lost / "pg_wal"), str(data / "pg_wal"))
    recovery = ["restore_command = 'cp ../archive/%f %p'", "recovery_target_action = 'promote'"]
    recovery += [f"recovery_target_name = '{target}'"] if target else []
    with (data / "postgresql.auto.conf").open("a") as file:
        file.write("\n".join(recovery) + "\n")
    server.run("/usr/bin/touch", str(data / "recovery.signal"))
    server.start()
    until(lambda: not _recovers(server), RECOVERY_SECONDS, message="it stays in recovery")


def _recovers(server: PostgresServer) -> bool:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        row = connection.execute("select pg_is_in_recovery()").fetchone()
    return row is not None and bool(row[0])
