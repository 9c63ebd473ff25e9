"""Real servers of PostgreSQL with the extension Citus: a coordinator, and nodes that hold the rows of workspaces.

Debian has no package of it, so CITUS_BIN says where the binaries are of a PostgreSQL that has it.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import psycopg
from sqlalchemy import text

from app.store import distribution, migrate
from app.store.engine import Database
from tests.servers import PostgresServer, ServerUnavailable, free_ports, postgres

#: The directory with `postgres` and `initdb`.
BINARIES: Final = "CITUS_BIN"
HOST: Final = "127.0.0.1"
_SETTINGS: Final = {
    "listen_addresses": HOST,
    "shared_preload_libraries": "citus",
    "max_connections": "200",
    "max_prepared_transactions": "200",
    "citus.node_conninfo": "sslmode=prefer",
    "citus.recover_2pc_interval": "5s",
    "citus.shard_count": "8",
    "citus.enable_statistics_collection": "off",
}
_PORT: Final = text(
    "select n.nodeport from pg_dist_placement p join pg_dist_node n using (groupid)"
    " where p.shardid = get_shard_id_for_distribution_column('lane', :workspace_id)"
)


class Cluster:
    """A coordinator and its nodes, by port."""

    def __init__(self, coordinator: PostgresServer, port: int, nodes: dict[int, PostgresServer]) -> None:
        self.coordinator = coordinator
        self._port = port
        self._nodes = nodes

    def create_database(self, name: str) -> str:
        """An empty database with the extension, which the nodes have joined; its URL for SQLAlchemy."""
        for server in (self.coordinator, *self._nodes.values()):
            server.create_database(name)
            with psycopg.connect(server.dsn, dbname=name, autocommit=True) as connection:
                connection.execute("create extension citus")
        with psycopg.connect(self.coordinator.dsn, dbname=name, autocommit=True) as connection:
            connection.execute("select citus_set_coordinator_host(%s, %s)", (HOST, self._port))
            for port in self._nodes:
                connection.execute("select citus_add_node(%s, %s)", (HOST, port))
        return f"postgresql+psycopg://postgres@{HOST}:{self._port}/{name}"

    def node(self, database: Database, workspace_id: int) -> PostgresServer:
        """The one that a workspace lies on."""
        with database.read() as connection:
            return self._nodes[int(connection.execute(_PORT, {"workspace_id": workspace_id}).scalar_one())]


def distribute(database: Database) -> None:
    """As `onefold db distribute`."""
    with migrate.alone(database) as connection:
        for _ in distribution.distribute(connection, distribution.missing(connection)):
            pass
        distribution.instruct(connection)


@contextmanager
def cluster(nodes: int = 2) -> Iterator[Cluster]:
    """Raises ServerUnavailable."""
    found = os.environ.get(BINARIES)
    if not found:
        raise ServerUnavailable(
            f"no Citus: {BINARIES} names the directory with the binaries of a PostgreSQL that has it"
        )
    ports = free_ports(nodes + 1)
    with ExitStack() as stack:
        servers = {
            port: stack.enter_context(postgres({**_SETTINGS, "port": str(port)}, private=True, binaries=Path(found)))
            for port in ports
        }
        yield Cluster(servers.pop(ports[0]), ports[0], servers)
