"""What the planner knows of tables never tells it that a workspace which is new has no rows."""

from collections.abc import Iterator
from itertools import groupby

import pytest
from sqlalchemy import text

from app.domain.profile import EMAIL, EXTERNAL, Profile
from app.domain.state import State
from app.store import migrate, partitions
from app.store.engine import Database
from app.store.profiles import holders, look_up
from app.store.profiles.save import save
from tests.servers import PostgresServer
from tests.stores import NOW_US, workspace

ADDRESS = "crowd@example.org"
MANY = 2_000
KEPT = text(
    "select c.relname from pg_attribute a join pg_class c on c.oid = a.attrelid"
    " where a.attname = 'workspace_id' and c.relkind in ('r', 'p') and coalesce(a.attstattarget, -1) <> 0"
    " and c.relnamespace = 'public'::regnamespace"
)
KNOWN = text("select tablename from pg_stats where schemaname = 'public' and attname = 'workspace_id'")


@pytest.fixture
def migrated(postgres_server: PostgresServer) -> Iterator[Database]:
    database = Database(postgres_server.create_database("statistics"))
    migrate.upgrade(database)
    yield database
    database.dispose()


def people(database: Database, workspace_id: int, many: int) -> None:
    """So many, all with one address."""
    state = State(complete=True)
    for n in range(1, many + 1):
        profile = Profile(n, f"{n:024x}", n, n, 0, f"u{n}", core={}, custom={}, events={}, purchases={}, devices={})
        profile.messages, profile.commerce = {}, {}
        state.create(profile)
        state.add_identifier(profile, (EXTERNAL, "", f"u{n}"))
        state.set_core(profile, "email", ADDRESS)
    with database.write() as connection:
        save(connection, workspace_id, state, {})


def analyze(database: Database) -> None:
    with database.statements() as connection:
        connection.exec_driver_sql("analyze")


def known(database: Database) -> tuple[list[str], list[str]]:
    """Tables of which it would be counted, and of which it was, how many rows a workspace has."""
    with database.read() as connection:
        return sorted(connection.execute(KEPT).scalars()), sorted(connection.execute(KNOWN).scalars())


def test_nobody_counts_the_rows_of_a_workspace(migrated: Database) -> None:
    """In no table, and in no partition that is made later."""
    partitions.prepare(migrated, NOW_US)
    people(migrated, workspace(migrated, "first"), 20)
    analyze(migrated)
    assert known(migrated) == ([], [])
    with migrated.read() as connection:
        found = connection.execute(text("select distinct attname from pg_stats where tablename = 'profile'")).scalars()
        assert {"pid", "braze_id"} <= set(found)


def test_what_was_counted_before_is_forgotten(migrated: Database) -> None:
    partitions.prepare(migrated, NOW_US)
    with migrated.write() as connection:
        for table, column in (("profile", "workspace_id"), ("inbox", "workspace_id")):
            connection.exec_driver_sql(f"alter table {table} alter column {column} set statistics -1")
    people(migrated, workspace(migrated, "first"), 20)
    analyze(migrated)
    counted, before = known(migrated)
    assert {"profile", "inbox"} <= set(counted)
    assert "profile" in before
    with migrated.read() as connection:
        places = connection.execute(text("select count(distinct relfilenode) from pg_class")).scalar()
    with migrated.read() as reader:
        reader.execute(text("select 1 from profile limit 1"))
        migrate.upgrade(migrated)  # which leaves what is in use
        assert known(migrated) == (["profile"], ["profile"])
    migrate.upgrade(migrated)
    assert known(migrated) == ([], [])
    with migrated.read() as connection:  # no table and no index was written anew
        assert connection.execute(text("select count(distinct relfilenode) from pg_class")).scalar() == places


@pytest.mark.parametrize("others", [1, 5, 300])
def test_people_of_a_workspace_that_is_new_are_found_one_by_one(migrated: Database, others: int) -> None:
    """All of them for each would be four million rows of the index."""
    first, new = workspace(migrated, "first"), workspace(migrated, "new")
    people(migrated, first, others)
    analyze(migrated)
    people(migrated, new, MANY)
    analyzed = text("select relname, idx_tup_read from pg_stat_user_indexes where relname in ('profile', 'identifier')")
    with migrated.read() as connection:
        found = holders.newest(connection, new, (EMAIL, "", ADDRESS), None, MANY + 1)
        assert len(look_up.fetch(connection, new, dict.fromkeys(range(1, MANY + 1), 0))) == len(found) == MANY
        connection.execute(text("select pg_stat_force_next_flush()"))
    with migrated.read() as connection:
        rows = sorted((name, read) for name, read in connection.execute(analyzed))
    read = {name: sum(one for _, one in of) for name, of in groupby(rows, key=lambda row: row[0])}
    assert read["profile"] < 4 * MANY + 10 * others
    assert read["identifier"] < 4 * MANY + 10 * others
