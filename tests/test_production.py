"""ONEFOLD_ENV=production: what lets strangers in is refused at the start, by name and without its value."""

from pathlib import Path

import pytest

from app.cli.production import WELL_KNOWN, is_weak, problems
from app.secret_settings import SECRET_NAMES, basic_auth_problem
from app.settings import Settings
from tests.command_line import command_line

GOOD = "Vq8-r41zTn"
PROXY = {"ONEFOLD_TRUSTED_PROXIES": "10.0.0.0/8"}
PLAIN = "Onefold speaks plain HTTP"
EVERYBODY = "ONEFOLD_TRUSTED_PROXIES names every address"
REMOTE = "leads to another machine without a password"
WEAK = "too short, or everybody's guess"


@pytest.mark.parametrize(
    ("environment", "host", "told"),
    [
        ({}, None, []),
        ({}, "127.0.0.1", []),
        ({}, "::1", []),
        ({}, "0.0.0.0", [PLAIN]),
        ({}, "192.0.2.7", [PLAIN]),
        ({}, "onefold.example.org", [PLAIN]),
        ({"ONEFOLD_TRUSTED_PROXIES": " "}, "::", [PLAIN]),
        ({"ONEFOLD_TRUSTED_PROXIES": ", ,"}, "::", [PLAIN]),
        ({"ONEFOLD_TRUSTED_PROXIES": "10.0.0.1,0.0.0.0/0"}, "127.0.0.1", [EVERYBODY]),
        ({"ONEFOLD_TRUSTED_PROXIES": "::/0"}, None, [EVERYBODY]),
        (PROXY, "0.0.0.0", []),
        ({"ONEFOLD_DEMO_SDK_KEY": "sdk"}, None, ["ONEFOLD_DEMO_SDK_KEY"]),
        ({"ONEFOLD_TEST_MODE": "true"}, None, ["ONEFOLD_TEST_MODE"]),
        ({"DATABASE_URL": f"postgresql://onefold:{GOOD}@db/onefold"}, None, []),
        ({"DATABASE_URL": "postgresql://onefold:onefold@db/onefold"}, None, [f"DATABASE_URL is {WEAK}"]),
        ({"DATABASE_URL": "postgresql://shop-data:shop-data@db/x"}, None, [f"DATABASE_URL is {WEAK}"]),
        ({"DATABASE_URL": "postgresql://u:Change%2DMe@db/x"}, None, [f"DATABASE_URL is {WEAK}"]),
        ({"DATABASE_URL": "postgresql://u@db/x?password=short"}, None, [f"DATABASE_URL is {WEAK}"]),
        ({"DATABASE_URL": "postgresql://u@db/x"}, None, [f"DATABASE_URL {REMOTE}"]),
        ({"DATABASE_URL": "postgresql://u@/x?host=db,db2"}, None, [f"DATABASE_URL {REMOTE}"]),
        ({"DATABASE_URL": "postgresql://u@/x?host=/run/postgresql"}, None, []),
        ({"DATABASE_URL": "postgresql://u@localhost/x"}, None, []),
        ({"DATABASE_URL": "postgresql://u@localhost:5432,db:5432/x"}, None, [f"DATABASE_URL {REMOTE}"]),
        ({"DATABASE_URL": "postgresql://u@/x?host=/run/postgresql,db"}, None, [f"DATABASE_URL {REMOTE}"]),
        ({"DATABASE_URL": "postgresql://u@/x?host=localhost&host=db"}, None, [f"DATABASE_URL {REMOTE}"]),
        ({"DATABASE_URL": "postgresql://u@localhost/x?hostaddr=192.0.2.7"}, None, [f"DATABASE_URL {REMOTE}"]),
        ({"DATABASE_URL": "postgresql://u@/x", "PGHOST": "db"}, None, [f"DATABASE_URL {REMOTE}"]),
        ({"DATABASE_URL": "postgresql://u@localhost/x", "PGHOST": "db"}, None, []),
        ({"PGHOST": "db"}, None, []),
        ({"DATABASE_URL": "postgresql:///x?user=shop-data&password=shop-data"}, None, [f"DATABASE_URL is {WEAK}"]),
        ({"DATABASE_URL": "postgresql://u@db/x?sslmode=verify-full&sslcert=c.pem"}, None, []),
        ({"DATABASE_URL": "postgresql://u@db/x", "PGPASSWORD": GOOD}, None, []),
        ({"DATABASE_URL": "postgresql://u@db/x", "PGPASSWORD": "postgres"}, None, [f"PGPASSWORD is {WEAK}"]),
        ({"WORKER_DATABASE_URL": "postgresql://u@db/x"}, None, [f"WORKER_DATABASE_URL {REMOTE}"]),
        ({"REDIS_URL": "redis://redis:6379/0"}, None, [f"REDIS_URL {REMOTE}"]),
        ({"REDIS_URL": "redis://:redis@redis:6379/0"}, None, [f"REDIS_URL is {WEAK}"]),
        ({"REDIS_URL": f"rediss://:{GOOD}@redis:6379/0"}, None, []),
        ({"REDIS_URL": "redis://127.0.0.1:6379/0"}, None, []),
        ({"REDIS_URL": f"redis+sentinel://:{GOOD}@a,b/g/0?sentinel_password={GOOD}"}, None, []),
        ({"REDIS_URL": "redis+sentinel://localhost,[::1]/g/0"}, None, []),
        ({"REDIS_URL": f"redis+sentinel://:{GOOD}@localhost,b/g/0"}, None, ["without a sentinel_password"]),
        ({"REDIS_URL": f"redis+sentinel://b/g/0?sentinel_password={GOOD}"}, None, [f"REDIS_URL {REMOTE}"]),
        ({"BROKER_URL": "redis+sentinel://:redis@localhost/g"}, None, [f"BROKER_URL is {WEAK}"]),
        ({"REDIS_URL": "unix:///run/valkey.sock?db=0"}, None, []),
        ({"BROKER_URL": "amqp://guest:guest@rabbit//"}, None, [f"BROKER_URL is {WEAK}"]),
        ({"BROKER_URL": f"amqp://u:{GOOD}@a//;amqp://guest:guest@b//"}, None, [f"BROKER_URL is {WEAK}"]),
        ({"BROKER_URL": "amqp://localhost//;amqp://b//"}, None, [f"BROKER_URL {REMOTE}"]),
        ({"ONEFOLD_METRICS_TOKEN": "password"}, None, [f"ONEFOLD_METRICS_TOKEN is {WEAK}"]),
        ({"ONEFOLD_FLOWER_BASIC_AUTH": "me:a-long-password"}, None, [f"FLOWER_BASIC_AUTH is {WEAK}"]),
        ({"ONEFOLD_FLOWER_BASIC_AUTH": f"me:{GOOD}"}, None, []),
        ({"ONEFOLD_SMTP_PASSWORD": "changeme"}, None, [f"ONEFOLD_SMTP_PASSWORD is {WEAK}"]),
    ],
)
def test_what_is_refused(
    environment: dict[str, str], host: str | None, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATABASE_URL", "WORKER_DATABASE_URL", "REDIS_URL", "BROKER_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = list(problems(Settings(), host, environment))
    assert len(found) == len(told), found
    assert all(words in line for words, line in zip(told, found, strict=True)), found


def test_every_known_password_is_weak_whatever_its_case() -> None:
    assert all(is_weak(word) and is_weak(word.upper()) for word in WELL_KNOWN)
    assert not is_weak(GOOD)
    assert basic_auth_problem("me:a-long-password") is None  # the example of docs/operations.md is refused here alone


@pytest.mark.parametrize(
    "words", [("up",), ("api",), ("console",), ("worker",), ("jobs", "run"), ("up", "--demo"), ("up", "--test")]
)
def test_all_that_serves_looks(words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEFOLD_ENV", "production")
    monkeypatch.setenv("REDIS_URL", "redis://:sesame@redis:6379/0")
    said = command_line(tmp_path)(*words, fails=True)
    assert "ONEFOLD_ENV=production" in said
    assert "sesame" not in said
    assert not (tmp_path / "onefold.db").exists()


def test_a_secret_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begins = {"DATABASE_URL": "postgresql://", "WORKER_DATABASE_URL": "postgresql://", "REDIS_URL": "redis://"}
    lines = {
        name: f"{begins.get(name, 'amqp://' if name == 'BROKER_URL' else '')}me:of-{name}@x" for name in SECRET_NAMES
    }
    for name, line in lines.items():
        (tmp_path / name).write_text(f"{line}\n")
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / name))
    found = Settings()
    given = (found.database_url, found.worker_database_url, found.redis_url, found.broker_url)
    secret = (found.metrics_token, found.smtp_password, found.flower_basic_auth)
    assert {*given, *(each.get_secret_value() for each in secret if each)} == set(lines.values())
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    assert Settings().redis_url == "redis://127.0.0.1:1"
    monkeypatch.setenv("BROKER_URL_FILE", str(tmp_path / "none"))
    assert "BROKER_URL_FILE cannot be read" in command_line(tmp_path)("doctor", fails=True)
