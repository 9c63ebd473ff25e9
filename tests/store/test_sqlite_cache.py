"""How much of the SQLite file a connection keeps in memory."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.bootstrap.background import applying
from app.settings import Settings
from app.store.engine import Database


def kilobytes(engine: Engine) -> int:
    with engine.connect() as connection:
        return -int(connection.exec_driver_sql("pragma cache_size").scalar_one())


@pytest.mark.parametrize("megabytes", [None, 250.5])
def test_a_worker_keeps_as_much_as_is_set_and_everybody_else_the_usual(megabytes: float | None, tmp_path: Path) -> None:
    usual = Settings(database_url=f"sqlite:///{tmp_path}/onefold.db")
    settings = usual if megabytes is None else usual.model_copy(update={"sqlite_cache_megabytes": megabytes})
    worker, other = applying(settings), Database(usual.database())
    try:
        found = [kilobytes(engine) for engine in (worker.main, worker.inbox, other.main)]
    finally:
        worker.dispose()
        other.dispose()
    assert found == [64_000 if megabytes is None else 250_500, 64_000, 64_000]
