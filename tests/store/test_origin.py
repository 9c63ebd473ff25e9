"""A database that was put back, in every way that is no `onefold restore`: it is noticed, and `onefold db restored` is
what ends it. One that lost nothing is never taken for one that did."""

import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from app.adapters.remembered import RememberedNumbers
from app.store import migrate, origin, partitions, restored, roles, standbys, workspace_deletions
from app.store.engine import Database, inbox_file
from app.store.inbox.log import UnknownWorkspaceError
from app.store.origin import Doubt
from tests.busy import accept, applier_of
from tests.command_line import command_line
from tests.missing import needed
from tests.recovery import ARCHIVING, archive_all, base_backup, restore
from tests.servers import PostgresServer, ValkeyServer, postgres
from tests.standbys import pair
from tests.stores import NOW_US, prepare, workspace
from workers.origin import OriginWatch

Watch = Callable[[Database], OriginWatch]


@pytest.fixture
def prefix(valkey_server: ValkeyServer) -> Iterator[str]:
    found = f"test-{uuid.uuid4().hex[:12]}:"
    yield found
    with redis.Redis.from_url(valkey_server.url) as client:
        for key in client.scan_iter(f"{found}*"):
            client.delete(key)


@pytest.fixture
def watch(valkey_server: ValkeyServer, prefix: str) -> Watch:
    return lambda database: OriginWatch(database, RememberedNumbers(valkey_server.url, prefix))


def made(url: str) -> tuple[Database, int]:
    database = Database(url, pool_size=2)
    migrate.upgrade(database)
    partitions.prepare(database, NOW_US)
    return database, workspace(database)


@contextmanager
def opened(main: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{main}")
    try:
        yield database
    finally:
        database.dispose()


def place(database: Database) -> Doubt | None:
    with database.read() as connection:
        found = origin.read(connection)
    assert found is not None
    return found.doubt


def test_a_dump_is_noticed_wherever_it_is_restored(postgres_server: PostgresServer) -> None:
    """Into another database, and over the one that it is of."""
    one, number = made(postgres_server.create_database("origin_one"))
    assert place(one) is None
    other = Database(postgres_server.create_database("origin_other"))
    names = [str(database.main.url.database) for database in (one, other)]
    dump = str(postgres_server.home / "origin.dump")
    where = str(postgres_server.home)
    postgres_server.run("pg_dump", "-h", where, "-U", "postgres", "-n", "public", "-Fc", "-f", dump, names[0])
    for name, database in zip(names, (one, other), strict=True):
        if database is one:
            accept(one, number, 2)
        with database.write() as connection:
            connection.exec_driver_sql("drop schema public cascade")
        database.dispose()
        postgres_server.run("pg_restore", "-h", where, "-U", "postgres", "-d", name, dump)
        assert place(database) is Doubt.ELSEWHERE
        restored.go_on(database)
        assert place(database) is None
    with needed(postgres()) as server:  # another cluster
        third = Database(server.create_database("origin_one"))
        with third.write() as connection:
            connection.exec_driver_sql("drop schema public cascade")
        server.run("pg_restore", "-h", str(server.home), "-U", "postgres", "-d", "origin_one", dump)
        assert place(third) is Doubt.ELSEWHERE
        third.dispose()
    for database in (one, other):
        database.dispose()


def test_a_restore_to_a_moment_and_files_that_are_put_back(watch: Watch) -> None:
    """To a moment: another timeline, and smaller numbers. Files: smaller numbers alone, which are told also when there
    are as many again."""
    with needed(postgres(ARCHIVING, private=True)) as server:
        database, number = made(server.create_database("moments"))
        look = watch(database).look
        base_backup(server)
        accept(database, number, 2)
        with psycopg.connect(server.dsn, autocommit=True) as plain:
            plain.execute("select pg_create_restore_point('here')")
        assert look() is None
        archive_all(server)
        server.kill9()
        database.dispose()
        restore(server, "here")
        assert place(database) is Doubt.TIMELINE
        assert look() is Doubt.TIMELINE  # nothing is lost, as far as numbers tell
        restored.go_on(database)
        assert look() is None

        server.stop()
        database.dispose()
        server.run("/bin/cp", "-a", str(server.home / "data"), str(server.home / "copy"))
        server.start()
        accept(database, number, 4)
        assert look() is None
        server.stop()
        database.dispose()
        shutil.rmtree(server.home / "data")
        (server.home / "copy").rename(server.home / "data")
        server.start()
        assert place(database) is None
        assert look() is Doubt.BACK
        for n in range(6, 12, 2):
            accept(database, number, n)
        assert look() is Doubt.BACK
        assert watch(database).look() is Doubt.BACK  # of another process
        restored.go_on(database)
        assert look() is None
        database.dispose()


def test_a_standby_that_takes_over_with_everything_has_lost_nothing(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who says so is asked once; standbys that are missing then are told of until they are there."""
    with needed(pair()) as servers:
        first, number = made(servers.primary.create_database("takes_over"))
        assert standbys.read(first) == standbys.Standbys(1, 1)
        accept(first, number, 2)
        assert watch(first).look() is None
        servers.primary.kill9()
        first.dispose()
        servers.promote()
        url = servers.primary.url.replace("/postgres?", "/takes_over?")
        monkeypatch.setenv("DATABASE_URL", url)
        monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
        monkeypatch.setenv("ONEFOLD_STANDBYS", "1")
        database = Database(url)
        assert watch(database).look() is Doubt.TIMELINE
        run = command_line(tmp_path)
        told = run("doctor", fails=True)
        assert "another timeline: a standby took over" in told.replace("\n", " ")
        with psycopg.connect(servers.primary.dsn, autocommit=True) as plain:
            plain.execute("alter system reset synchronous_standby_names")
            plain.execute("select pg_reload_conf()")
        assert "commits wait for 0 of 1" in run("doctor", fails=True)
        run("db", "restored", "--nothing-lost")
        assert watch(database).look() is None
        servers.copy()
        told = run("doctor", fails=True)  # for want of Redis
        assert "none is given out twice" in told
        assert "1 follow, commits wait for 1" in told
        servers.standby.kill9()
        assert "0 follow, commits wait for 1" in run("doctor", fails=True)
        database.dispose()


def test_what_a_role_may_not_see_is_no_finding(postgres_server: PostgresServer) -> None:
    """Any role sees where the database is; of standbys one without pg_read_all_stats sees only that there are any."""
    database, _ = made(postgres_server.create_database("sees"))
    with psycopg.connect(postgres_server.dsn, autocommit=True) as plain:
        plain.execute("drop role if exists origin_api")
        plain.execute("create role origin_api login")
    try:
        roles.grant(database, "origin_api", None)
        api = Database(database.url.replace("postgres@", "origin_api@"))
        assert place(api) is None
        with api.read() as connection:
            assert origin.read(connection).present != ""  # type: ignore[union-attr]
        assert standbys.read(api) == standbys.Standbys(0, 0)
        api.dispose()
    finally:
        with database.write() as connection:
            connection.exec_driver_sql("drop owned by origin_api")
            connection.exec_driver_sql("drop role origin_api")
        database.dispose()


@pytest.mark.parametrize(
    ("names", "number"),
    [
        ("", 0),
        (" ", 0),
        ("*", 1),
        ("one", 1),
        ("one, other", 1),
        ("FIRST 2 (one, other)", 2),
        ("any 3(one, other, third)", 3),
        ("2 (one, other)", 2),
        ('ANY 1 ("10 (x)", other)', 1),
    ],
)
def test_how_many_a_commit_waits_for(names: str, number: int) -> None:
    assert standbys.asked(names) == number


@pytest.mark.parametrize(
    ("asked", "following", "wanted", "present", "lacking"),
    [
        (0, 0, 0, 0, False),
        (0, 0, 1, 0, True),
        (0, 2, 1, 0, True),
        (1, 0, 0, 0, True),
        (1, 1, 0, 1, False),
        (1, 2, 2, 1, True),
        (2, 1, 0, 1, True),
        (1, None, 1, None, False),
    ],
)
def test_when_one_is_missing(
    asked: int, following: int | None, wanted: int, present: int | None, lacking: bool
) -> None:
    found = standbys.Standbys(asked, following)
    assert (found.present, found.lacking(wanted)) == (present, lacking)


def test_files_of_sqlite_that_are_copied_back(
    tmp_path: Path, watch: Watch, valkey_server: ValkeyServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both: their numbers are smaller than those that Redis has. One: more is applied than was accepted."""
    monkeypatch.setenv("REDIS_URL", valkey_server.url)
    monkeypatch.setenv("ONEFOLD_KEY_PREFIX", prefix)
    main = tmp_path / "onefold.db"
    prepare(f"sqlite:///{main}")
    database, run = Database(f"sqlite:///{main}"), command_line(tmp_path)
    number = workspace(database)
    accept(database, number, 2)
    for file in (main, inbox_file(main)):
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("vacuum into ?", (f"{file}.copy",))
    accept(database, number, 4)
    assert watch(database).look() is None
    assert "none is given out twice" in run("doctor", fails=True)  # for want of workers
    database.dispose()
    for file in (main, inbox_file(main)):
        for suffix in ("-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        file.with_name(f"{file.name}.copy").replace(file)
    told = run("doctor", fails=True)
    assert "put back to an earlier moment" in told.replace("\n", " ")
    assert "ids are given out twice" in run("db", "restored", "--nothing-lost", fails=True).replace("\n", " ")
    run("db", "restored")
    assert "none is given out twice" in run("doctor", fails=True)
    with closing(sqlite3.connect(inbox_file(main))) as connection:
        connection.execute("update inbox_head set head = 0")
        connection.commit()
    with closing(sqlite3.connect(main)) as connection:
        connection.execute("update lane set cursor_normal = 1")
        connection.commit()
    assert "more is applied than accepted" in run("doctor", fails=True).replace("\n", " ")


@pytest.mark.parametrize("inbox", ["older", "gone"])
def test_what_is_accepted_behind_an_inbox_that_was_lost_is_applied(
    inbox: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing starts that would accept what is never applied; `db restored` goes on behind what was applied, also where
    a part of a request was. A workspace that is being deleted stays closed."""
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    main = tmp_path / "onefold.db"
    prepare(f"sqlite:///{main}")
    run = command_line(tmp_path)
    with opened(main) as database:
        one, other, gone = (workspace(database, name) for name in ("one", "other", "gone"))
        accept(database, one, 1)
        applier_of(database).drain(one)
        with closing(sqlite3.connect(inbox_file(main))) as connection:
            connection.execute("vacuum into ?", (f"{inbox_file(main)}.copy",))
        for n in range(2, 6):
            accept(database, one, n)
        applier_of(database).drain(one)
        with database.write() as connection:
            lane_of = "update lane set begun_stream = 0, begun_done = 3, begun = '{}' where workspace_id = "
            connection.exec_driver_sql(f"{lane_of}{one}")
        workspace_deletions.begin(database, gone, NOW_US)
    for suffix in ("", "-wal", "-shm"):
        inbox_file(main).with_name(f"{inbox_file(main).name}{suffix}").unlink(missing_ok=True)
    if inbox == "older":
        inbox_file(main).with_name(f"{inbox_file(main).name}.copy").replace(inbox_file(main))
    for words in (("api",), ("worker",), ("console",)):  # and `up`, which says it in the same way
        assert "more is applied than accepted" in run(*words, fails=True).replace("\n", " ")
    run("db", "restored", "--nothing-lost", fails=True)
    run("db", "restored")
    assert "none is given out twice" in run("doctor", fails=True)
    with opened(main) as database:
        for number in (one, other):
            accept(database, number, 6)
            assert applier_of(database).drain(number).requests == 1
        with pytest.raises(UnknownWorkspaceError):
            accept(database, gone, 7)


def test_what_is_remembered_of_a_workspace_goes_with_it(
    database: Database, watch: Watch, valkey_server: ValkeyServer, prefix: str
) -> None:
    numbers = [workspace(database, name) for name in ("one", "other")]
    for number in numbers:
        accept(database, number, 2)
    look = watch(database).look
    look()
    with database.write(database.inbox) as connection:
        connection.exec_driver_sql(f"delete from inbox_head where workspace_id = {numbers[1]}")
    look()
    with database.read() as connection:
        found = origin.read(connection)
    assert found is not None
    remembered = RememberedNumbers(valkey_server.url, prefix)
    kept = {key: head for key, head in remembered.read(found.key)[0].items() if key[0] in numbers}
    assert kept == {(numbers[0], 0): 1}
    remembered.close()
