"""A node that is away stops its own workspaces alone. One that is there is made to be away for one database of a test:
the coordinator is told to look for it where nobody is."""

import importlib
import os
import pkgutil
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import TextClause, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

import app.store
from app.domain.commands import STREAM_NORMAL, StreamKey
from app.domain.times import HOUR
from app.store import distribution, lane, partitions, reach, workspaces
from app.store.engine import Database, is_locked
from app.store.inbox import backlog
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry
from tests import distributed
from tests.pinned import unpinned
from tests.polling import until
from tests.stores import NOW_US, workspace

#: Of all workspaces, or of a part that the statement names otherwise; and why they have no mark.
WITHOUT_MARK = {
    ("app.store.inbox.size", "_OLDEST"): "SQLite",
    ("app.store.inbox.size", "_DELETE"): "SQLite",
    ("app.store.jobs", "_FILES"): "whatever it does not name is removed",
    ("app.store.lane", "_EPOCH"): "a restored database is another one for all workspaces",
    ("app.store.segments.values", "_DIFFERENT"): "of one workspace, which a select further out names",
}


def statements() -> Iterator[tuple[str, str, TextClause]]:
    """(module, name, statement) of all that the modules of the store have."""
    for module in pkgutil.walk_packages(app.store.__path__, "app.store."):
        if "migrations" not in module.name:
            for name, value in vars(importlib.import_module(module.name)).items():
                yield from ((module.name, name, one) for one in _texts(value))


def _texts(value: object) -> Iterator[TextClause]:
    if isinstance(value, TextClause):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


def test_a_statement_about_all_workspaces_has_the_mark_in_each_select() -> None:
    found = {(module, name) for module, name, statement in statements() if unpinned(statement.text)}
    assert found == WITHOUT_MARK.keys()


@pytest.mark.parametrize(
    ("statement", "wanted"),
    [
        ("select 1 from lane where workspace_id = 3", "select 1 from lane where workspace_id = 3"),
        (
            "select 1 from lane l where true /*here l.workspace_id*/ limit 1",
            "select 1 from lane l where true  and l.workspace_id = any('{1,5}'::bigint[]) limit 1",
        ),
        (
            "delete from lane where n in (select n from job where a /*here workspace_id*/) /*here workspace_id*/",
            (
                "delete from lane where n in (select n from job where a  and workspace_id = any('{1,5}'::bigint[]))"
                "  and workspace_id = any('{1,5}'::bigint[])"
            ),
        ),
    ],
)
def test_the_mark_becomes_a_condition(statement: str, wanted: str) -> None:
    assert reach.narrowed(statement, [1, 5]) == wanted


def test_what_was_used_and_disposed_of_leaves_no_thread(database_url: str) -> None:
    """A launcher looks at the schema, and forks: it may have no other thread then."""
    if not database_url.startswith("postgresql"):
        pytest.skip("nodes are of PostgreSQL")
    database = Database(database_url)
    database._distributed()
    for _ in range(2):
        with database.read() as connection:
            connection.exec_driver_sql("select 1")
            assert "nodes" in {thread.name for thread in threading.enumerate()}
        database.dispose()
        assert "nodes" not in {thread.name for thread in threading.enumerate()}


def test_without_nodes_all_is_together(database: Database) -> None:
    if database.is_postgresql and os.environ.get(distributed.URL_NAME):
        pytest.skip("there are nodes")
    workspace(database, "one")
    assert database.look_for_nodes() == database.nodes_away == []
    assert not database.is_away(1)
    assert database.by_node([3, 1, 2], int) == [[3, 1, 2]]


@pytest.fixture
def nodes() -> Iterator[Database]:
    if not os.environ.get(distributed.URL_NAME):
        pytest.skip(f"{distributed.URL_NAME} is not set")
    database = Database(distributed.distributed(NOW_US))
    yield database
    database.dispose()
    distributed.drop(database.url)


@pytest.fixture
def halves(nodes: Database) -> tuple[list[int], list[int]]:
    """Workspaces of either node; one of the second is behind."""
    numbers = [workspace(nodes, f"workspace {n}") for n in range(8)]
    one, other = nodes.by_node(numbers, int)
    assert sorted(one + other) == numbers
    with nodes.write(nodes.inbox) as connection:
        inbox.append(connection, other[0], STREAM_NORMAL, [Entry(1, 1, b"{}")], NOW_US)
    return one, other


def cut(database: Database, workspace_id: int) -> Callable[[], None]:
    """Take the node of a workspace away; what is returned brings it back."""
    of = (
        "select p.groupid from pg_dist_placement p"
        f" where p.shardid = get_shard_id_for_distribution_column('lane', {workspace_id})"
    )
    move = f"update pg_dist_node set nodeport = nodeport {{}} 20000 where groupid = ({of})"

    def execute(sign: str) -> None:
        with database.statements() as connection:
            connection.exec_driver_sql(move.format(sign))
        database.main.dispose()  # sessions of the coordinator have connections to the node

    execute("+")
    return lambda: execute("-")


def test_where_a_workspace_lies_is_known_at_once(nodes: Database, halves: tuple[list[int], list[int]]) -> None:
    """However soon behind a look, and although a node is away. One that does not exist is asked for once a second."""
    late = [workspace(nodes, f"late {n}") for n in range(8)]
    cut(nodes, halves[1][0])
    assert len(nodes.look_for_nodes()) == 1
    new = Database(nodes.url)
    with new.read() as connection:  # by which it learns that there are nodes
        connection.exec_driver_sql("select 1")
    reach = new._reach
    assert reach is not None
    asked = []
    connect = reach._connect

    def counted() -> psycopg.Connection:
        asked.append(1)
        return connect()

    reach._connect = counted
    assert len(new.by_node(late, int)) == 2
    assert [new.node(number) for number in late] == [nodes.node(number) for number in late]
    for _ in range(3):
        assert new.by_node([998], int) == [[998]]
        assert new.by_node([999], int) == [[999]]
    assert len(asked) == 3
    new.dispose()


def failing(database: Database) -> bool:
    """Whether a statement about all workspaces fails, as the first one does."""
    try:
        with database.read() as connection:
            lane.begun(connection)
    except OperationalError:
        return True
    return False


def test_the_others_go_on_and_all_is_there_when_it_is_back(
    nodes: Database, halves: tuple[list[int], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(reach, "LOOK_SECONDS", 0.0)
    one, other = halves
    everybody = {StreamKey(other[0], STREAM_NORMAL)}
    assert set(backlog.behind(nodes)) == everybody
    back = cut(nodes, other[0])
    assert failing(nodes)
    assert not failing(nodes)
    assert len(nodes.nodes_away) == 1
    assert not any(map(nodes.is_away, one))
    assert all(map(nodes.is_away, other))
    assert backlog.behind(nodes) == {}
    with nodes.write(nodes.inbox) as connection:
        inbox.append(connection, one[0], STREAM_NORMAL, [Entry(1, 1, b"{}")], NOW_US)
    assert set(backlog.behind(nodes)) == {StreamKey(one[0], STREAM_NORMAL)}
    assert len(nodes.look_for_nodes()) == 1
    partitions.prepare(nodes, NOW_US + 10 * HOUR)  # waits for the node
    assert [one.id for one in workspaces.reachable(nodes)] == one
    back()
    until(lambda: not failing(nodes) and not nodes.nodes_away)
    assert set(backlog.behind(nodes)) == {StreamKey(number, STREAM_NORMAL) for number in (one[0], other[0])}


def test_what_writes_to_the_coordinator_alone_needs_no_node(
    nodes: Database, halves: tuple[list[int], list[int]]
) -> None:
    cut(nodes, halves[1][0])
    with nodes.write() as connection:
        for table in distribution.tables():
            if distribution.kind(table) is distribution.Kind.COORDINATOR:
                column = next(iter(table.columns)).name
                connection.execute(text(f"update {table.name} set {column} = {column}"))


def test_every_statement_with_the_mark_runs_without_a_node(
    nodes: Database, halves: tuple[list[int], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "LEAST_SECONDS", 0.0)
    marked = [(f"{module}.{name}", one) for module, name, one in statements() if "/*here " in one.text]
    assert len(marked) > 50
    assert {name: error for name, one in marked if (error := _error(nodes, one))} == {}
    cut(nodes, halves[1][0])
    assert failing(nodes)
    assert {name: error for name, one in marked if (error := _error(nodes, one))} == {}


def _error(database: Database, statement: TextClause) -> str:
    names = re.findall(r"(?<![:\w]):([a-z_]\w*)", statement.text)
    # Texts have no type of their own: PostgreSQL takes them for numbers where it wants some.
    values: dict[str, Any] = {name: ["1"] if name in ("names", "codes") else "1" for name in names}
    try:
        with database.write() as connection:
            connection.execute(statement, values)
    except SQLAlchemyError as error:
        return str(error).splitlines()[0]
    return ""


def test_a_row_that_is_held_on_a_node_is_not_waited_for_longer_than_on_one_server(
    nodes: Database, halves: tuple[list[int], list[int]]
) -> None:
    """By the API for as long as it says, by a worker for less than its statements may take, so that it counts as none
    of those."""
    number = halves[0][0]
    held = text("select head from inbox_head where workspace_id = :workspace_id and stream = 0 for update")
    worker = Database(nodes.url, apply=True, timeout_seconds=1.5)
    with nodes.write() as holder:
        holder.execute(held, {"workspace_id": number})
        for database, lock_ms in ((nodes, 50), (worker, None)):
            with pytest.raises(OperationalError) as refused, database.write(lock_ms=lock_ms) as connection:
                connection.execute(held, {"workspace_id": number})
            assert is_locked(refused.value)
    worker.dispose()
