"""Citus for tests: the nodes behind TEST_CITUS_URL, a database in which the extension is and nodes have joined.

Each test gets a database of its own: one on each node, copied from one that was distributed once.
"""

import itertools
import os
from functools import cache, partial

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from app.store import distribution, migrate, partitions
from app.store.engine import Database
from tests.polling import until

#: The coordinator, or nothing.
URL_NAME = "TEST_CITUS_URL"
STORES = ["sqlite", "postgresql", *(["citus"] if os.environ.get(URL_NAME) else [])]
_numbers = itertools.count(1)


def distributed(now_us: int) -> str:
    """The URL of a new database with the newest schema, all of it distributed."""
    return _create(f"c{next(_numbers)}", _template(now_us))


def drop(url: str) -> None:
    """Remove a database from all nodes."""
    for member in _members():
        with psycopg.connect(_dsn(member, "postgres"), autocommit=True) as connection:
            until(partial(_dropped, connection, make_url(url).database or ""))


def empty() -> str:
    """The URL of a new database with the extension and the nodes, and without tables."""
    name = f"c{next(_numbers)}"
    url = _create(name, "template0")
    members = _members()
    for member in members:
        with psycopg.connect(_dsn(member, _own(name)), autocommit=True) as connection:
            connection.execute("create extension citus")
    coordinator, *workers = members
    with psycopg.connect(_dsn(coordinator, _own(name)), autocommit=True) as connection:
        connection.execute("select citus_set_coordinator_host(%s, %s)", (coordinator.host, coordinator.port))
        for worker in workers:
            connection.execute("select citus_add_node(%s, %s)", (worker.host, worker.port))
    return url


@cache
def _template(now_us: int) -> str:
    database = Database(empty())
    migrate.upgrade(database)
    with migrate.alone(database) as connection:
        for _ in distribution.distribute(connection, distribution.missing(connection)):
            pass
        distribution.instruct(connection)
    partitions.prepare(database, now_us)
    database.dispose()
    return make_url(database.url).database or ""


@cache
def _members() -> list[URL]:
    """The coordinator, and the nodes that hold rows."""
    coordinator = make_url(os.environ[URL_NAME]).set(drivername="postgresql")
    with psycopg.connect(coordinator.render_as_string(hide_password=False)) as connection:
        found = connection.execute("select nodename, nodeport from pg_dist_node where shouldhaveshards").fetchall()
    return [coordinator, *(coordinator.set(host=host, port=port) for host, port in found)]


def _create(name: str, template: str) -> str:
    name = _own(name)
    for member in _members():
        with psycopg.connect(_dsn(member, "postgres"), autocommit=True) as connection:
            until(partial(_dropped, connection, name))
            until(partial(_copied, connection, name, template))
    url = _members()[0].set(drivername="postgresql+psycopg", database=name)
    return url.render_as_string(hide_password=False)


def _dropped(connection: psycopg.Connection, name: str) -> bool:
    """Whether the database is gone. Citus may come back in the moment in which others were sent away."""
    try:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
    except psycopg.errors.ObjectInUse:
        return False
    return True


def _copied(connection: psycopg.Connection, name: str, template: str) -> bool:
    """Whether the database is made. It is not while somebody is in the other one, as Citus is from time to time."""
    connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (template,))
    statement = sql.SQL("create database {} template {}")
    try:
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
    except psycopg.errors.ObjectInUse:
        return False
    return True


def _own(name: str) -> str:
    return f"{name}_{os.getpid()}"


def _dsn(member: URL, database: str) -> str:
    return member.set(database=database).render_as_string(hide_password=False)
