"""TLS to PostgreSQL and to Redis, and a password that is changed while everybody works."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import psycopg
import pytest
import redis
from kombu.exceptions import OperationalError as BrokerError
from redis.asyncio import Redis
from sqlalchemy.exc import OperationalError

from app.bootstrap import background
from app.quota.wire import Wire
from app.settings import Settings
from app.store import durability
from app.store.engine import Database, ping
from tests.certificates import certificate
from tests.missing import needed
from tests.polling import until
from tests.servers import PostgresServer, ValkeyServer, free_port, postgres


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The server's own, and one of somebody else."""
    folder = tmp_path_factory.mktemp("tls")
    return certificate(folder, "server"), certificate(folder, "other")


@pytest.fixture(scope="module")
def encrypted(certificates: tuple[Path, Path]) -> Iterator[tuple[PostgresServer, int]]:
    """A server that takes TCP with TLS and a password only; and its port."""
    port = free_port()
    with needed(postgres({"listen_addresses": "localhost", "port": str(port)}, private=True)) as server:
        for suffix in ("crt", "key"):
            text = certificates[0].with_suffix(f".{suffix}").read_text()
            server.run("/usr/bin/install", "-m", "600", "/dev/null", str(server.home / "data" / f"server.{suffix}"))
            (server.home / "data" / f"server.{suffix}").write_text(text)
        rules = server.home / "data" / "pg_hba.conf"
        rules.write_text("local all all trust\nhostssl all all all scram-sha-256\n")
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("alter system set ssl = on")
            connection.execute("select pg_reload_conf()")
            connection.execute("create role onefold login password 'first-of-them'")
        yield server, port


def url(port: int, password: str, more: str) -> str:
    return f"postgresql://onefold:{password}@localhost:{port}/postgres?{more}"


def reaches(where: str) -> str:
    """ "" where the database answers, else why it does not."""
    database = Database(where, pool_size=1)
    try:
        ping(database)
        assert durability.is_private(database)
    except OperationalError as error:
        return str(error.orig)
    finally:
        database.dispose()
    return ""


def test_postgresql_is_reached_by_tls_whose_certificate_is_looked_at(
    encrypted: tuple[PostgresServer, int], certificates: tuple[Path, Path]
) -> None:
    _, port = encrypted
    mine, other = certificates
    known = f"sslmode=verify-full&sslrootcert={mine}"
    until(lambda: not reaches(url(port, "first-of-them", known)), message="no TLS")
    assert "certificate verify failed" in reaches(
        url(port, "first-of-them", f"sslmode=verify-full&sslrootcert={other}")
    )
    assert "no encryption" in reaches(url(port, "first-of-them", "sslmode=disable"))
    named = url(port, "first-of-them", known).replace("@localhost", "@127.0.0.1")
    assert "does not match" in reaches(named)


def test_a_password_is_changed_without_downtime(
    encrypted: tuple[PostgresServer, int], certificates: tuple[Path, Path]
) -> None:
    server, port = encrypted
    known = f"sslmode=verify-full&sslrootcert={certificates[0]}"
    until(lambda: not reaches(url(port, "first-of-them", known)), message="no TLS")
    before = Database(url(port, "first-of-them", known), pool_size=1)
    ping(before)
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("alter role onefold password 'second-of-them'")
    ping(before)  # a process that was not restarted yet
    assert reaches(url(port, "second-of-them", known)) == ""
    before.dispose()
    assert "password authentication failed" in reaches(url(port, "first-of-them", known))
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("alter role onefold password 'first-of-them'")


class Tls:
    """Ends TLS before a Valkey on a Unix socket, as stunnel does: the binary that we have speaks none."""

    def __init__(self, certificate_: Path, target: str) -> None:
        self.port, self._target = free_port(), target
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate_, certificate_.with_suffix(".key"))
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()
        serving = asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._context)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._target)
        await asyncio.gather(self._pass(reader, back), self._pass(there, writer), return_exceptions=True)

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
            while data := await source.read(65_536):
                target.write(data)
                await target.drain()
        target.close()

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def tls(certificates: tuple[Path, Path], valkey_server: ValkeyServer) -> Iterator[Tls]:
    with closing(Tls(certificates[0], unquote(urlsplit(valkey_server.url).path))) as found:
        yield found


def test_redis_is_reached_by_tls_whose_certificate_is_looked_at(tls: Tls, certificates: tuple[Path, Path]) -> None:
    """By quotas, by what else asks Redis, and by Celery."""
    mine, other = (f"rediss://localhost:{tls.port}/0?ssl_ca_certs={path}" for path in certificates)

    async def asked(where: str) -> list[object]:
        client = Redis.from_url(where)
        wire = await Wire.open(client)
        try:
            return await wire.call([("PING",)])
        finally:
            wire.close()
            await client.aclose()

    assert asyncio.run(asked(mine)) == [b"PONG"]
    with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
        asyncio.run(asked(other))
    with closing(redis.Redis.from_url(mine)) as client:
        assert client.ping()
    for where, fits in ((mine, True), (other, False)):
        app = background.celery(Settings(REDIS_URL=where), producer=True)
        with app.connection_for_write(transport_options={"socket_timeout": 5}) as connection:
            try:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=5)
                assert fits
            except BrokerError:
                assert not fits
