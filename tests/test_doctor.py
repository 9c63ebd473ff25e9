"""`onefold doctor` on servers and directories that are broken, or set up, in ways of their own."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from tests.command_line import command_line, run
from tests.missing import needed
from tests.servers import ValkeyServer, valkey

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


@pytest.mark.parametrize("place", ["file", "file/below", "file/below/that"])
def test_what_cannot_be_a_data_directory_is_said_in_a_line(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words in (("migrate",), ("api",), ("backup", "b.tar"), ("restore", "b.tar"), ("up",), ("doctor",), ("verify",)):
        said = run(*words, "--data-dir", str(tmp_path / place), fails=True)
        assert "Traceback" not in said
        assert said.count("\n") == 1 or words == ("doctor",), said
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
