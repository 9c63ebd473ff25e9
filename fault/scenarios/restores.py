"""Backups while clients write: what is restored of them is equal to the reference, and nothing accepted is missing."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from app.adapters.clock import now_us
from app.adapters.files import Files
from app.services import backups
from app.settings import DATABASE_NAME
from app.store import restored, workspaces
from app.store.engine import Database
from fault.clients import LoadPlan
from fault.rounds import Round, Scenario
from fault.stack import SQLITE, Layout
from tests import recovery
from tests.busy import head
from workers import replay


def server_lost(now: Round) -> None:
    """27, PostgreSQL: the server is killed and its data are gone. What is left are a base backup of the middle of the
    load, the archive, and the WAL that was not archived yet: nothing that was accepted may be missing."""
    server = now.stack.postgres
    assert server is not None
    now.accept_more(10)
    recovery.base_backup(server)
    now.accept_more(20)
    before = sum(now.stack.heads(now.workspace.id))
    server.kill9()
    recovery.restore(server, keep_wal=True)
    now.notes["requests behind the base backup"] = sum(now.stack.heads(now.workspace.id)) - before + 20
    restored.go_on(now.stack.database)  # onefold db restored
    now.accept_more(10, 30)
    now.hit()


def backed_up(now: Round) -> None:
    """27, SQLite: a backup again and again while clients write, made in this process by what `onefold backup` calls.
    Before every second one the applying process is killed. Each backup, restored, has all that was accepted before it,
    and is equal to the reference."""
    data = now.stack.folder
    for n in range(4):
        now.accept_more(5)
        if n % 2:
            now.kill_forked(jobs=False)
        least = sum(now.stack.heads(now.workspace.id))
        with TemporaryDirectory(prefix="onefold-backup-") as folder:
            path, target = Path(folder) / "backup.tar", Path(folder) / "restored"
            target.mkdir()
            backups.make(data / DATABASE_NAME, Files(data / "files"), path, now_us())
            backups.restore(path, target / DATABASE_NAME, Files(target / "files"), now_us())
            _compare(now, target / DATABASE_NAME, least)
        now.hit()


def _compare(now: Round, main: Path, least: int) -> None:
    database, workspace = Database(f"sqlite:///{main}"), now.workspace
    try:
        stored = head(database, workspace.id)
        if stored < least:
            now.blame(f"restored: {stored} requests, {least} were accepted before the backup")
        for difference in replay.differences(database, workspace.id, workspaces.secret(database, workspace.id)):
            now.blame(f"restored: {difference}")
    finally:
        database.dispose()


LOAD: Final = LoadPlan(clients=5)
SCENARIOS: Final = (
    Scenario(
        27,
        "PostgreSQL lost, restored from base backup and WAL",
        "the server was restored with requests behind the base backup",
        server_lost,
        layout=Layout(postgres=recovery.ARCHIVING),
        load=LOAD,
        lag_seconds=10,
    ),
    Scenario(
        27,
        "backups while clients write, each restored",
        "a backup was restored and compared",
        backed_up,
        load=LOAD,
        stores=(SQLITE,),
    ),
)
