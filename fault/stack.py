"""What is hit: real servers and our processes on top of them, all of which can be killed and come back.

On PostgreSQL the parts run apart, as in production: API processes, and nodes (`onefold worker`: Celery and a sweeper),
each behind a proxy of its own where a scenario wants one. The embedded default is one `onefold up`.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar
from urllib.error import URLError
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.adapters.clock import now_us
from app.domain.commands import STREAMS
from app.services.permissions import PERMISSIONS
from app.store import keys, lane, migrate, partitions, subscription_groups, workspaces
from app.store.engine import Database
from app.store.inbox import log as inbox
from fault.clients import Wire
from fault.disk import Disk
from fault.processes import Program
from fault.proxy import HOST, Proxy
from fault.subscriptions import GROUPS, group_of
from tests import brokers, citus, poolers, sentinels, servers, standbys
from tests.polling import until

POSTGRESQL, SQLITE = "postgresql", "sqlite"
SCRIPTS: Final = Path(sys.executable).parent
START_SECONDS: Final = 60.0
#: A whole hour's quota that refuses nothing.
HOURLY: Final = 1_000_000_000
BURST: Final = (1_000_000, 1)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Layout:
    """How a stack is put together. `proxied` names wires: api-postgres, node-postgres, api-redis, node-redis."""

    apis: int = 1
    nodes: int = 1
    processes: int = 1
    proxied: frozenset[str] = frozenset()
    #: Settings of our processes, and of PostgreSQL.
    settings: Mapping[str, str] = field(default_factory=dict)
    postgres: Mapping[str, str] = field(default_factory=dict)
    #: Further environment of API processes and nodes, for instance a library to preload.
    preload: Mapping[str, str] = field(default_factory=dict)
    #: Nobody ever starts the broker.
    without_broker: bool = False
    #: Nodes run these instead of `onefold worker`: argument lists, without the Python.
    node_programs: tuple[tuple[str, ...], ...] = ()
    #: The folder of PostgreSQL's data, for a disk of a size of our choice.
    disk: Path | None = None
    #: What the data lie on, where it may lose its power.
    power: Disk | None = None
    #: Our processes reach PostgreSQL by way of a PgBouncer in transaction mode, with so many sessions; 0 = directly.
    pooled: int = 0
    #: The broker is RabbitMQ, and not the Redis of the quotas.
    rabbitmq: bool = False
    #: Redis is two servers with sentinels, as the broker as well.
    sentinels: bool = False
    #: PostgreSQL is a primary with a synchronous standby, and our processes know both.
    standby: bool = False
    #: PostgreSQL is a coordinator of Citus and two nodes.
    cluster: bool = False


@dataclass(frozen=True, slots=True)
class Workspace:
    """The tenant of one round."""

    id: int
    secret: bytes
    key: str


class Stack:
    """Running servers and processes of one store."""

    def __init__(self, store: str, layout: Layout, seed: int, stack: ExitStack) -> None:
        self.store = store
        self.layout = layout
        on_disk = layout.disk if store == SQLITE else None
        self.folder = Path(stack.enter_context(TemporaryDirectory(prefix="onefold-fault-", dir=on_disk)))
        self.proxies: dict[str, Proxy] = {}
        self.postgres: servers.PostgresServer | None = None
        self.valkey: servers.ValkeyServer | None = None
        self.group: sentinels.Group | None = None
        self._rounds = 0
        self.pooler: poolers.Pooler | None = None
        self.rabbit = stack.enter_context(brokers.rabbitmq()) if layout.rabbitmq else None
        self.pair: standbys.Pair | None = None
        self.cluster: citus.Cluster | None = None
        if store == POSTGRESQL:
            if layout.standby:
                self.pair = stack.enter_context(standbys.pair())
                self.pair.primary.create_database("fault")
                self.url = self._either(self.pair, seed, stack)
            elif layout.cluster:
                self.cluster = stack.enter_context(citus.cluster())
                self.url = self.cluster.create_database("fault")
            else:
                self.postgres = stack.enter_context(
                    servers.postgres(
                        {"max_connections": "200", **layout.postgres},
                        private=True,
                        folder=layout.disk,
                        environment=self._power(),
                    )
                )
                self.url = self.postgres.create_database("fault")
                if layout.pooled:
                    self.pooler = stack.enter_context(poolers.pgbouncer(self.postgres, sessions=layout.pooled))
            if layout.sentinels:
                self.group = stack.enter_context(sentinels.group())
            else:
                self.valkey = stack.enter_context(servers.valkey())
            for wire in sorted(layout.proxied):
                proxy = Proxy(self._socket(wire), f"{seed}/{wire}")
                stack.callback(proxy.close)
                self.proxies[wire] = proxy
        else:
            self.url = f"sqlite:///{self.folder / 'onefold.db'}"
        self.database = Database(self.url, pool_size=2)
        stack.callback(self.database.dispose)
        migrate.upgrade(self.database)
        if layout.cluster:
            citus.distribute(self.database)
            self.database.dispose()  # connections that know it
        partitions.prepare(self.database, now_us())
        self.ports = [servers.free_port() for _ in range(layout.apis)]
        self.apis, self.nodes = self._postgresql() if store == POSTGRESQL else self._embedded()
        stack.callback(self.stop)
        self.start()
        if layout.power is not None:
            layout.power.sync()

    def _power(self) -> Mapping[str, str]:
        return {} if self.layout.power is None else self.layout.power.environment

    # -- processes ---------------------------------------------------------------------------------------------------

    def programs(self) -> list[Program]:
        return list(dict.fromkeys([*self.apis, *self.nodes]))

    def start(self) -> None:
        """Start whatever does not run, and wait until it serves."""
        for program in self.programs():
            if not program.running:
                self.start_one(program)
        self.wait_until_ready()

    def start_one(self, program: Program) -> None:
        self.ready_file(program).unlink(missing_ok=True)
        program.start()

    def wait_until_ready(self) -> None:
        until(self._all_answer, START_SECONDS, message="an API does not answer")
        if self.layout.without_broker:
            self._canary()
            return
        for node in self.nodes:
            self.wait_for_node(node)

    def _all_answer(self) -> bool:
        """Raises AssertionError when one of our processes has ended."""
        for program in self.programs():
            if not program.running:
                raise AssertionError(f"{program.name} ended: {program.log.read_text(errors='replace')[-2000:]}")
        return all(answers(port) for port in self.ports)

    def wait_for_node(self, node: Program) -> None:
        until(self.ready_file(node).exists, START_SECONDS, message=f"{node.name} does not listen")

    def _canary(self) -> None:
        """One request of a workspace of its own has been applied: a sweeper is there."""
        canary = self.workspace("legacy", None)
        wire = Wire(self.ports, canary.key)
        wire.post("/users/track", b'{"attributes":[{"external_id":"canary"}]}')
        wire.close()
        until(lambda: sum(self.cursors(canary.id)) > 0, START_SECONDS, message="nothing is applied")

    def ready_file(self, program: Program) -> Path:
        embedded = self.store == SQLITE and program is self.nodes[0]
        return self.folder / ("worker.ready" if embedded else f"{program.name}.ready")

    def stop(self) -> None:
        for program in self.programs():
            program.stop()

    def _postgresql(self) -> tuple[list[Program], list[Program]]:
        onefold, data = str(SCRIPTS / "onefold"), ("--data-dir", str(self.folder))
        apis = [
            Program(f"api-{n}", (onefold, "api", "--port", str(port), *data), self.environment("api"), self._log("api"))
            for n, port in enumerate(self.ports)
        ]
        ours = (onefold, "worker", "--workers", str(self.layout.processes), *data)
        programs = [(sys.executable, *words) for words in self.layout.node_programs] or [ours] * self.layout.nodes
        nodes = []
        for n, words in enumerate(programs):
            name = f"node-{n}"
            env = {**self.environment("node"), "ONEFOLD_WORKER_READY_FILE": str(self.folder / f"{name}.ready")}
            nodes.append(Program(name, words, env, self._log(name)))
        return apis, nodes

    def _embedded(self) -> tuple[list[Program], list[Program]]:
        onefold = str(SCRIPTS / "onefold")
        data = ("--data-dir", str(self.folder))
        env = {"ONEFOLD_LOG_LEVEL": "info", "ONEFOLD_CANARY_SECONDS": "0", **self.layout.settings, **self._power()}
        words = ("up", "--port", str(self.ports[0]), "--flower-port", "0", "--workers", "1")
        up = Program("up", (onefold, *words, *data), env, self._log("up"))
        others = [
            Program(f"api-{n}", (onefold, "api", "--port", str(port), *data), env, self._log(f"api-{n}"))
            for n, port in enumerate(self.ports[1:], 1)
        ]
        return [up, *others], [up]

    def _either(self, pair: standbys.Pair, seed: int, stack: ExitStack) -> str:
        """The URL of whichever of two servers takes writes, as an operator writes it."""
        hosts = []
        for n, path in enumerate(pair.sockets):
            proxy = Proxy(path, f"{seed}/server-{n}")
            stack.callback(proxy.close)
            hosts.append(f"{HOST}:{proxy.port}")
        return f"postgresql://postgres@{','.join(hosts)}/fault?target_session_attrs=read-write"

    def environment(self, part: str) -> dict[str, str]:
        """What leads a process to the servers: on the way of an `api`, or of a `node`."""
        postgres, redis = self.proxies.get(f"{part}-postgres"), self.proxies.get(f"{part}-redis")
        redis_url = f"redis://{HOST}:{redis.port}/0" if redis else self._redis_url()
        nobody = {"BROKER_URL": f"redis://{HOST}:{servers.free_port()}/0"} if self.layout.without_broker else {}
        broker = nobody if self.rabbit is None else {"BROKER_URL": self.rabbit.url}
        database_url = f"postgresql://postgres@{HOST}:{postgres.port}/fault" if postgres else self.url
        return {
            "DATABASE_URL": self.pooler.url(database_url) if self.pooler else database_url,
            "REDIS_URL": redis_url,
            "ONEFOLD_DATA_DIR": str(self.folder),
            "ONEFOLD_LOG_LEVEL": "info",
            "ONEFOLD_CANARY_SECONDS": "0",
            **broker,
            **self.layout.settings,
            **self.layout.preload,
        }

    def _redis_url(self) -> str:
        found = self.group or self.valkey
        assert found is not None
        return found.url

    def _socket(self, wire: str) -> Path:
        if wire.endswith("-redis"):
            assert self.valkey is not None
            return Path(unquote(urlsplit(self.valkey.url).path))
        assert self.postgres is not None
        return Path(str(conninfo_to_dict(self.postgres.dsn)["host"])) / ".s.PGSQL.5432"

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def logs(self) -> str:
        """Everything that our processes have written so far."""
        found = [*self.folder.glob("*.log"), *self.folder.glob("logs/*.log")]
        return "\n".join(path.read_text(errors="replace") for path in found)

    # -- looks from outside ------------------------------------------------------------------------------------------

    def workspace(self, plan: str, burst: tuple[int, int] | None) -> Workspace:
        """A new tenant with a key for everything."""
        self._rounds += 1
        requests, seconds = burst or BURST
        made = workspaces.create(
            self.database,
            f"round-{self._rounds}",
            plan,
            now_us(),
            hourly_limit=HOURLY,
            burst_limit=requests,
            burst_window_seconds=seconds,
        )
        number = workspaces.number(made)
        for n in range(GROUPS):
            group = subscription_groups.Group(group_of(n), f"Group {n}", "email", now_us())
            subscription_groups.create(self.database, number, group, GROUPS)
        key = keys.create(self.database, number, "fault", PERMISSIONS, now_us())
        return Workspace(number, workspaces.secret(self.database, number), key)

    def look(self, work: Callable[[], T]) -> T:
        """A look at the database, tried again when the connection turns out to be one that a fault broke."""
        for _ in range(5):
            with suppress(SQLAlchemyError):
                return work()
            time.sleep(0.05)
        return work()

    def cursors(self, workspace_id: int) -> list[int]:
        return self.look(lambda: self._lane(workspace_id).cursors)

    def attempts(self, workspace_id: int) -> int:
        """Batches begun and not finished: above 0 while one runs, and after one was killed."""
        return self.look(lambda: self._lane(workspace_id).attempts)

    def begun(self, workspace_id: int) -> int:
        """Commands that have taken effect of the request that is applied in parts; 0 = there is none."""
        found = self.look(lambda: self._lane(workspace_id).begun)
        return 0 if found is None else found[1]

    def heads(self, workspace_id: int) -> list[int]:
        def work() -> list[int]:
            with self.database.read(self.database.inbox) as connection:
                return [inbox.head(connection, workspace_id, stream) for stream in STREAMS]

        return self.look(work)

    def behind(self, workspace_id: int) -> int:
        """Requests accepted and not applied."""
        return sum(self.heads(workspace_id)) - sum(self.cursors(workspace_id))

    def lane_held(self, workspace_id: int) -> bool:
        """Whether a transaction holds the lane now (PostgreSQL only)."""

        def work() -> bool:
            with self.database.write() as connection:
                return lane.lock(connection, workspace_id) is None

        return self.look(work)

    def scalar(self, statement: str, **values: object) -> int:
        """The number that a statement of PostgreSQL's own tables gives."""

        def work() -> int:
            with self.database.read() as connection:
                return int(connection.execute(text(statement), values).scalar() or 0)

        return self.look(work)

    def sessions(self) -> list[str]:
        """What every session of PostgreSQL is at, for a finding. No values: statements have parameters."""
        statement = (
            "select pid, application_name, state, wait_event, clock_timestamp() - xact_start,"
            " clock_timestamp() - query_start, pg_blocking_pids(pid), left(query, 60)"
            " from pg_stat_activity where datname = current_database() and xact_start is not null"
        )

        def work() -> list[str]:
            with self.database.read() as connection:
                return [" ".join(map(str, row)) for row in connection.exec_driver_sql(statement)]

        return self.look(work) if self.store == POSTGRESQL else []

    def _lane(self, workspace_id: int) -> lane.Lane:
        with self.database.read() as connection:
            found = lane.read(connection, workspace_id)
        assert found is not None
        return found


@contextmanager
def started(store: str, layout: Layout, seed: int) -> Iterator[Stack]:
    """A stack on empty data. Raises ServerUnavailable."""
    with ExitStack() as stack:
        yield Stack(store, layout, seed, stack)


def answers(port: int) -> bool:
    """Whether an API process there is ready."""
    try:
        with urlopen(f"http://{HOST}:{port}/readyz", timeout=2) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False
