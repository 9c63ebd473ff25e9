"""The schema: made by migrations alone, the same as the models say, on both stores."""

from app.store import migrate
from app.store.engine import Database


def test_migrations_and_models_agree(database: Database) -> None:
    assert migrate.differences(database) == []
    assert migrate.is_current(database)


def test_an_empty_database_is_not_current_and_upgrading_twice_is_harmless(database_url: str) -> None:
    database = Database(database_url)
    assert not migrate.is_current(database)
    migrate.upgrade(database)
    migrate.upgrade(database)
    assert migrate.is_current(database)
    database.dispose()
