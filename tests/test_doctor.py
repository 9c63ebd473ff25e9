"""`onefold doctor` on servers and directories that are broken, or set up, in ways of their own."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
import pytest
import redis

from tests.command_line import command_line, run
from tests.missing import needed
from tests.servers import PostgresServer, ValkeyServer, valkey

PASSWORD = "Vq8-r41zTn"


@pytest.fixture(scope="module")
def restricted() -> Iterator[ValkeyServer]:
    """A Valkey with roles that may do less and less."""
    with needed(valkey()) as server, redis.Redis.from_url(server.url) as client:
        for name, rights in {"all": "+@all", "managed": "+@all -config", "plain": "+@all -config -info"}.items():
            client.execute_command("ACL", "SETUSER", name, "on", f">{PASSWORD}", "~*", "&*", *rights.split())
        yield server


@pytest.mark.parametrize(
    ("role", "policy", "told"),
    [
        ("all", "noeviction", "answers, version "),
        ("all", "allkeys-lru", "may evict keys"),
        ("managed", "noeviction", "answers, version "),
        ("managed", "volatile-ttl", "may evict keys"),
        ("plain", "noeviction", "answers, and does not say which version it is, nor whether it evicts keys"),
        ("nobody", "noeviction", "does not answer (AuthenticationError)"),
    ],
)
def test_a_redis_that_answers_is_one_whatever_it_lets_us_ask(
    role: str, policy: str, told: str, restricted: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis.Redis.from_url(restricted.url) as client:
        client.config_set("maxmemory-policy", policy)
    monkeypatch.setenv("REDIS_URL", f"unix://{role}:{PASSWORD}@{urlsplit(restricted.url).path}?db=0")
    monkeypatch.setenv("COLUMNS", "300")  # so that lines are not broken
    said = command_line(tmp_path)("doctor", fails=True)
    (line,) = (each for each in said.splitlines() if "Redis " in each)
    assert told in line
    assert ("broker does not answer" in said) is (role == "nobody")  # Celery goes there with the same password
    assert PASSWORD not in said


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, "nothing leaves this machine unencrypted"),
        ({"REDIS_URL": "redis://no-host.invalid/0"}, "Redis: not encrypted"),
        ({"BROKER_URL": "amqps://no-host.invalid//;amqp://localhost//"}, "nothing leaves this machine unencrypted"),
        ({"BROKER_URL": "amqp://localhost//;amqp://no-host.invalid//"}, "the broker: not encrypted"),
        ({"ONEFOLD_SMTP_HOST": "no-host.invalid"}, "nothing leaves this machine unencrypted"),
        (
            {"ONEFOLD_SMTP_HOST": "localhost", "ONEFOLD_SMTP_SECURITY": "none"},
            "nothing leaves this machine unencrypted",
        ),
        (
            {
                "ONEFOLD_SMTP_HOST": "no-host.invalid",
                "ONEFOLD_SMTP_SECURITY": "none",
                "REDIS_URL": "redis://no-host.invalid",
            },
            "Redis, the mail server: not encrypted",
        ),
    ],
)
def test_what_leaves_the_machine_unencrypted(
    environment: dict[str, str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"REDIS_URL": "redis://127.0.0.1:1", "COLUMNS": "300", "ONEFOLD_SMTP_FROM": "a@example.org"} | environment
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert told in command_line(tmp_path)("doctor", fails=True)


@pytest.mark.parametrize("place", ["file", "file/below", "file/below/that"])
def test_what_cannot_be_a_data_directory_is_said_in_a_line(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words in (("migrate",), ("api",), ("backup", "b.tar"), ("restore", "b.tar"), ("up",), ("doctor",), ("verify",)):
        said = run(*words, "--data-dir", str(tmp_path / place), fails=True)
        assert "Traceback" not in said
        assert said.count("\n") == 1 or words == ("doctor",), said
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("//postgres", "//nobody-of-this-name"), "it has no such role"),
        (("@/postgres", "@/nothing"), "it has no such database"),
        (("@/", "@no-host.invalid/"), "no host has this name"),
        (("@/", "@127.0.0.1:1/"), "nothing listens there"),
        (("?host=", "?host=/nowhere"), "nothing listens there"),
        (("?", f"?{PASSWORD}=1&"), "DATABASE_URL has an option that is none"),
    ],
)
def test_why_postgresql_is_not_reached_is_said_without_a_value(
    change: tuple[str, str],
    told: str,
    postgres_server: PostgresServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = quote(str(postgres_server.home), safe="")
    url = f"postgresql://postgres:{PASSWORD}@/postgres?host={home}".replace(*change)
    monkeypatch.setenv("DATABASE_URL", url.partition("?")[0] if change[0] == "@/" else url)
    monkeypatch.setenv("COLUMNS", "300")
    onefold = command_line(tmp_path)
    said = onefold("doctor", fails=True), onefold("workspaces", "list", fails=True)
    assert f"does not answer ({told})" in said[0]
    assert said[1] == f"The database failed ({told}): see `onefold doctor`.\n"
    assert PASSWORD not in "".join(said)


def test_a_role_gets_less_than_the_owner_has_or_nothing_changes(
    postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres_server.create_database("doctor_roles")
    monkeypatch.setenv("DATABASE_URL", url.replace("postgresql+psycopg", "postgresql"))
    onefold = command_line(tmp_path)
    onefold("migrate")

    def rights() -> list[tuple[object, ...]]:
        with psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as connection:
            return connection.execute("select oid, relowner, relacl::text from pg_class order by oid").fetchall()

    before = rights()
    assert "postgres owns the schema" in onefold("db", "grant", "--api-role", "postgres", fails=True)
    assert "postgres owns the schema" in onefold("db", "grant", "--worker-role", "postgres", fails=True)
    assert "There is no role nobody-here" in onefold("db", "grant", "--api-role", "nobody-here", fails=True)
    assert rights() == before
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        connection.execute("create role doctor_api login")
    onefold("db", "grant", "--api-role", "doctor_api")
    less = url.replace("postgresql+psycopg://postgres@", "postgresql://doctor_api@")
    monkeypatch.setenv("DATABASE_URL", less)
    for words in (("workspaces", "create", "one"), ("db", "restored"), ("db", "grant", "--api-role", "doctor_api")):
        assert "the owner of the schema may" in onefold(*words, fails=True)
