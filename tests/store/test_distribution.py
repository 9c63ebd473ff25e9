"""Tables over the nodes of Citus: which goes where, and that statements say whose rows they mean.

With TEST_CITUS_URL, the tests of the store that ask for `database` run on such nodes as well: tests/distributed.py.
"""

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Column, Index, Integer, MetaData, Table, text
from typer.testing import CliRunner

from app.cli.main import app
from app.store import distribution, lane, migrate, partitions, workspaces
from app.store.distribution import Kind, NoCitusError, OtherwiseError
from app.store.engine import Database
from tests import distributed
from tests.pinned import unpinned
from tests.polling import until
from tests.stores import NOW_US, workspace

#: They are of the installation, or are found by something that is unique over all workspaces.
STAYING = {
    "api_key",
    "app",
    "company",
    "console_account",
    "console_act",
    "console_role",
    "console_session",
    "origin",
    "workspace",
    "workspace_deletion",
}

OWN_BYTES = text(
    "select sum(pg_relation_size(logicalrelid)) from pg_dist_partition where partmethod = 'h'"
    " and logicalrelid = 'lane'::regclass"
)
#: How the shards of `profile` count the rows of workspaces.
COUNTED = text(
    "select result from run_command_on_shards('profile', $$select attstattarget from pg_attribute"
    " where attrelid = '%s'::regclass and attname = 'workspace_id'$$)"
)
SECRET = text("select secret from workspace where id = :id")
MEMBERS = """
    create table webhook_member (
        workspace_id bigint, webhook_id text, pid bigint, primary key (workspace_id, webhook_id, pid)
    )
    """


def test_every_table_goes_somewhere() -> None:
    """Only few, small ones stay on the coordinator."""
    kinds = {table.name: distribution.kind(table) for table in distribution.tables()}
    assert {name for name, kind in kinds.items() if kind is Kind.COORDINATOR} == STAYING
    assert kinds["inbox"] is kinds["profile"] is kinds["lane"] is kinds["job"] is Kind.DISTRIBUTED
    assert next(iter(kinds)) == distribution.FIRST


@pytest.mark.parametrize(
    ("keys", "unique", "kind"),
    [
        (["workspace_id", "id"], [], Kind.DISTRIBUTED),
        (["workspace_id"], [["workspace_id", "name"]], Kind.DISTRIBUTED),
        (["workspace_id", "id"], [["id"]], Kind.COORDINATOR),
        (["id"], [], Kind.COORDINATOR),
        (["id"], [["workspace_id"]], Kind.COORDINATOR),
    ],
)
def test_a_table_is_split_where_every_key_has_the_workspace(
    keys: list[str], unique: list[list[str]], kind: Kind
) -> None:
    columns = [Column(name, Integer, primary_key=name in keys) for name in ("workspace_id", "id", "name")]
    table = Table("one", MetaData(), *columns, Index("any", "name"))
    for n, names in enumerate(unique):
        Index(f"unique{n}", *(table.c[name] for name in names), unique=True)
    assert distribution.kind(table) is kind


def test_without_the_extension_nothing_happens(database: Database) -> None:
    if database.is_postgresql and os.environ.get(distributed.URL_NAME):
        with database.read() as connection:
            if distribution.version(connection) is not None:
                pytest.skip("it is there")
    with database.write() as connection:
        distribution.complete(connection)
        with pytest.raises(NoCitusError):
            distribution.missing(connection)


@pytest.mark.parametrize(
    ("statement", "wanted"),
    [
        ("select 1 from lane where workspace_id = %(w)s for update", []),
        ("select 1 from lane", ["lane"]),
        ("select 1 from inbox_7 i where i.workspace_id = %s", []),
        ("select 1 from inbox_default", ["inbox_default"]),
        ("select 1 from workspace where id = 3", []),
        ("select (select 1 from webhook w where w.workspace_id = l.workspace_id) from lane l", ["w", "l"]),
        ("select (select 1 from webhook w where w.workspace_id = %s) from lane l where workspace_id = %s", []),
        ("select 1 from job j join job_part p on p.workspace_id = j.workspace_id where j.workspace_id = %s", []),
        ("select 1 from job j join job_part p on p.job_id = j.id where j.workspace_id = %s", ["p"]),
        ("select 1 from lane where workspace_id = %s union all select 2 from lane", ["lane"]),
        ("select 1 from lane where 'workspace_id = %s' <> ''", ["lane"]),
        ("insert into lane (workspace_id, epoch) values (%s, 1) on conflict do nothing", []),
        ("insert into lane (epoch) values (1)", ["lane"]),
        ("update lane set epoch = 1", ["lane"]),
        ("select max(epoch) from lane where false", []),
        ("delete from job where (workspace_id, id) in (select workspace_id, id from job limit 1)", ["job", "job"]),
        ("select l.epoch from dead d, lane l where d.workspace_id = %s", ["l"]),
        ("update lane set epoch = j.n from job j where j.workspace_id = %s and lane.workspace_id = %s", []),
        ("select 1 from lane where workspace_id is distinct from epoch and workspace_id = %s", []),
        ("with x as (select 1 from dead where workspace_id = %s) select 1 from x", []),
        ("with x as (select 1 from dead) select 1 from x", ["dead"]),
        ("select 1 from unnest(%s) k cross join lateral (select 1 from dead t where t.workspace_id = %s) r", []),
    ],
)  # fmt: skip
def test_which_selects_say_whose_rows_they_mean(statement: str, wanted: list[str]) -> None:
    assert unpinned(statement) == wanted


@pytest.fixture
def nodes() -> Iterator[Database]:
    """A database with the extension and nodes, and the newest schema, of which nothing is distributed."""
    if not os.environ.get(distributed.URL_NAME):
        pytest.skip(f"{distributed.URL_NAME} is not set")
    database = Database(distributed.empty())
    migrate.upgrade(database)
    yield database
    database.dispose()
    distributed.drop(database.url)


def distribute(database: Database) -> list[str]:
    with migrate.alone(database) as connection:
        steps = distribution.missing(connection)
        assert list(distribution.distribute(connection, steps)) == steps
        assert distribution.instruct(connection)
    return [step.table for step in steps]


def test_what_is_there_moves_to_the_nodes_and_leaves_nothing_behind(nodes: Database) -> None:
    one = workspace(nodes, "before")
    assert distribute(nodes) == [
        table.name for table in distribution.tables() if distribution.kind(table) is Kind.DISTRIBUTED
    ]
    assert distribute(nodes) == []
    two = workspace(nodes, "behind")
    assert [workspaces.number(workspaces.get(nodes, name)) for name in ("before", "behind")] == [one, two]
    with nodes.read() as connection:
        assert connection.execute(text("select count(*) from lane")).scalar() == 2
        # Past Citus: what the coordinator has in its own files.
        assert connection.execute(OWN_BYTES).scalar() == 0


def test_a_migration_distributes_what_it_makes(nodes: Database) -> None:
    distribute(nodes)
    with nodes.write() as connection:
        connection.exec_driver_sql("drop table webhook_member")
        connection.exec_driver_sql(MEMBERS)
        assert [step.table for step in distribution.missing(connection)] == ["webhook_member"]
    for _ in range(2):
        migrate.upgrade(nodes)
        with nodes.read() as connection:
            assert distribution.missing(connection) == []
    partitions.prepare(nodes, NOW_US)
    with nodes.read() as connection:
        made = sorted(partitions.numbers(connection, "inbox"))
    assert all(later == earlier + 1 for earlier, later in pairwise(made))


def test_a_table_that_is_split_otherwise_is_left_alone(nodes: Database) -> None:
    with nodes.write() as connection:
        connection.exec_driver_sql("create table other (a bigint)")
        connection.exec_driver_sql("alter table segment drop constraint segment_pkey")
        connection.exec_driver_sql("select create_distributed_table('segment', 'created_us')")
        with pytest.raises(OtherwiseError, match="segment"):
            distribution.missing(connection)


def run(url: str, *words: str, fails: bool = False) -> str:
    """What `onefold db …` says of the database of that URL."""
    found = CliRunner().invoke(app, ["db", *words], catch_exceptions=False, env={"DATABASE_URL": url})
    assert (found.exit_code != 0) is fails, found.output
    return str(found.output)


def test_the_command_needs_the_extension(database: Database, tmp_path: Path) -> None:
    """And is refused in words where there is none; nothing is changed."""
    if database.is_postgresql and os.environ.get(distributed.URL_NAME):
        with database.read() as connection:
            if distribution.version(connection) is not None:
                pytest.skip("it is there")
    url = database.url if database.is_postgresql else ""
    for words in (["distribute"], ["distribute", "--dry-run"]):
        said = " ".join(run(url, *words, "--data-dir", str(tmp_path), fails=True).split())
        assert ("no extension citus" if database.is_postgresql else "SQLite is one file on one machine") in said


def test_the_command_says_what_it_does_and_may_be_repeated(nodes: Database) -> None:
    workspace(nodes, "before")
    steps = [
        statement
        for table in distribution.tables()
        if distribution.kind(table) is Kind.DISTRIBUTED
        for statement in distribution.Step(table.name, Kind.DISTRIBUTED).statements
    ]
    before = run(nodes.url, "distribute", "--dry-run").splitlines()
    assert before[0].startswith("nodes: ")
    assert before[-1] == f"tables to distribute: {len(steps) // 2}"
    assert "; ".join(before[1:-1]).replace(";;", ";").rstrip(";").split("; ") == steps
    with nodes.read() as connection:
        assert len(distribution.missing(connection)) == len(steps) // 2
    assert run(nodes.url, "distribute").splitlines()[-1] == f"tables distributed: {len(steps) // 2}"
    assert run(nodes.url, "distribute").splitlines()[-1] == "everything is distributed"
    with nodes.read() as connection:
        assert set(connection.execute(COUNTED).scalars()) == {"0"}


@pytest.mark.parametrize(
    ("setting", "said"), [("'5s'", ""), ("'10s'", ""), ("'1min'", "for up to 60 s"), ("-1", "for ever")]
)
def test_commits_in_doubt_that_are_settled_late_are_said(nodes: Database, setting: str, said: str) -> None:
    """The setting is of the whole server, and every database of it reads it: it is put back at once."""
    distribute(nodes)
    try:
        settle(nodes, f"alter system set citus.recover_2pc_interval = {setting}")
        with nodes.read() as connection:
            assert distribution.unsettled(connection) == said
        assert ("in doubt" in run(nodes.url, "distribute")) is bool(said)
        doctor = CliRunner().invoke(app, ["doctor"], env={"DATABASE_URL": nodes.url, "COLUMNS": "300"})
        assert ("commits in doubt" in doctor.output) is bool(said)
        assert ("2 answering" in doctor.output) is not bool(said)
    finally:
        settle(nodes, "alter system reset citus.recover_2pc_interval")


def settle(database: Database, statement: str) -> None:
    """Change how the coordinator settles commits in doubt; back when sessions have it."""
    shown = text("select setting, pg_conf_load_time() from pg_settings where name = 'citus.recover_2pc_interval'")

    def loaded() -> object:
        with database.read() as connection:
            return connection.execute(shown).one()[1]

    before = loaded()
    with database.statements() as connection:
        connection.exec_driver_sql(statement)
        connection.exec_driver_sql("select pg_reload_conf()")
    until(lambda: loaded() != before)


def test_tables_that_nodes_had_copies_of_come_back(nodes: Database) -> None:
    """As versions before left them."""
    one = workspace(nodes, "before")
    distribute(nodes)
    with nodes.write() as connection:
        connection.exec_driver_sql("select create_reference_table('workspace')")
    assert distribute(nodes) == ["workspace"]
    assert workspaces.number(workspaces.get(nodes, "before")) == one
    assert distribute(nodes) == []


def test_a_restored_database_goes_on_on_nodes(nodes: Database) -> None:
    numbers = [workspace(nodes, f"workspace {n}") for n in range(6)]
    distribute(nodes)

    def known() -> list[tuple[bytes, int]]:
        with nodes.read() as connection:
            lanes = [lane.read(connection, number) for number in numbers]
            secrets = [bytes(connection.execute(SECRET, {"id": number}).scalar_one()) for number in numbers]
        return [(secret, one.epoch) for secret, one in zip(secrets, lanes, strict=True) if one is not None]

    before = known()
    run(nodes.url, "restored")
    assert len(before) == len(numbers)
    assert all(
        secret != old_secret and epoch != old_epoch
        for (secret, epoch), (old_secret, old_epoch) in zip(known(), before, strict=True)
    )
