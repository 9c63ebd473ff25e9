"""Real servers for tests and benches: a private PostgreSQL and a private Valkey, on Unix sockets in temporary folders.

A server dies with the thread that started it: start servers in the main thread.
"""

from tests.servers.places import free_port, free_ports, server_home, server_user
from tests.servers.postgresql import PostgresServer, initdb, postgres, postgres_binaries, postgres_in
from tests.servers.process import Process, ServerUnavailable
from tests.servers.valkey import ValkeyServer, valkey

__all__ = [
    "PostgresServer",
    "Process",
    "ServerUnavailable",
    "ValkeyServer",
    "free_port",
    "free_ports",
    "initdb",
    "postgres",
    "postgres_binaries",
    "postgres_in",
    "server_home",
    "server_user",
    "valkey",
]
