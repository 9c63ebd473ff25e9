"""Workers killed in the middle of a batch, again and again: nothing is lost, nothing is done twice, order is kept."""

import random
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from app.contract import kinds
from app.store import lane, workspaces
from app.store.engine import Database
from app.store.inbox import log as inbox
from tests.e2e.ledger import Ledger
from tests.e2e.service import Service, up
from tests.polling import gone, until
from tests.servers import PostgresServer
from workers import replay

#: `make fault` has many more, of this and of other deaths.
ROUNDS = 5
SEED = 20261122


class Books:
    """A look at the lane from outside."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.workspace = workspaces.number(workspaces.get(self.database, "default"))

    def attempts(self) -> int:
        with self.database.read() as connection:
            found = lane.read(connection, self.workspace)
        return found.attempts if found is not None else 0

    def cursor(self) -> int:
        with self.database.read() as connection:
            found = lane.read(connection, self.workspace)
        return found.cursors[0] if found is not None else 0

    def head(self) -> int:
        with self.database.read(self.database.inbox) as connection:
            return inbox.head(connection, self.workspace, 0)

    def tracked(self) -> int:
        """Requests of clients: Onefold queues changes of settings of its own."""
        with self.database.read(self.database.inbox) as connection:
            wanted = {"workspace": self.workspace, "kind": kinds.TRACK}
            statement = text("select count(*) from inbox where workspace_id = :workspace and kind = :kind")
            return int(connection.execute(statement, wanted).scalar_one())

    def differences(self) -> list[str]:
        return replay.differences(self.database, self.workspace, workspaces.secret(self.database, self.workspace))


def pool_process(service: Service) -> psutil.Process | None:
    """The process that applies: the child of Celery's main process."""
    for main in service.children("celery"):
        children = main.children()
        if children and "workers.celery_app worker" in " ".join(main.cmdline()):
            return children[0]
    return None


def kill_in_mid_batch(service: Service, books: Books, rng: random.Random) -> bool:
    """Kill the applying process at a random moment. True when a batch had begun and was rolled back."""
    child = until(lambda: pool_process(service), message="no applying process")
    assert child is not None
    time.sleep(rng.random() * 0.05)  # not a wait for something: the moment of the blow
    try:
        main = child.parent()
        if main is None:
            return False
        main.suspend()  # so that it cannot replace its child before we have looked
        try:
            child.send_signal(signal.SIGKILL)
            until(lambda: gone(child.pid))
            return books.attempts() > 0
        finally:
            main.resume()
    except psutil.NoSuchProcess:
        return False


@pytest.mark.timeout(300)
@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_batches_killed_in_the_middle(store: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    env: Mapping[str, str] = {}
    if store == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        env = {"DATABASE_URL": server.create_database("killed")}
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    with up(tmp_path / "data", "--workers", "1", env=env) as service:
        books = Books(env.get("DATABASE_URL", f"sqlite:///{tmp_path / 'data' / 'onefold.db'}"))
        with Ledger(service, SEED) as ledger:
            counted = tried = 0
            while counted < ROUNDS:
                tried += 1
                assert tried < 10 * ROUNDS, f"only {counted} of {tried} blows hit a batch"
                before = books.cursor()
                counted += kill_in_mid_batch(service, books, rng)
                until(lambda seen=before: books.cursor() > seen, timeout=15, message="nobody goes on")  # type: ignore[misc]
                ledger.applied = books.cursor()
            ledger.stop()
        assert ledger.surprises == []
        assert books.tracked() == len(ledger.accepted) == len(set(ledger.accepted))
        until(lambda: books.cursor() == books.head(), timeout=30, message="the backlog stays")
        assert books.differences() == []
        assert ledger.differences() == []
        books.database.dispose()
