"""Redis behind sentinels: what a URL says, and that limits and doorbells go on with whichever server is the primary."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from kombu.exceptions import KombuError
from redis.asyncio.sentinel import MasterNotFoundError

from app.adapters import redis_group
from app.adapters.doorbell import client
from app.bootstrap import background
from app.quota.connection import close, connect
from app.sentinels import Sentinels, parse
from app.settings import Settings
from tests.certificates import certificate
from tests.command_line import command_line
from tests.missing import needed
from tests.polling import until
from tests.quota.desk import HOURLY, TEN, burst, desk
from tests.sentinels import FAILOVER_SECONDS, Group, group
from tests.servers import ServerUnavailable

ONE = (("a", 26_379),)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://a:6379/0", None),
        ("unix:///run/valkey.sock?db=0", None),
        ("redis+sentinel://a/shop", Sentinels(ONE, "shop")),
        ("redis+sentinel://a/shop/", Sentinels(ONE, "shop")),
        ("redis+sentinel://a:1,b,[::1]:2/shop/3", Sentinels((("a", 1), ("b", 26_379), ("::1", 2)), "shop", 3)),
        ("redis+sentinel://:p%40ss@a/s%2Fhop/0", Sentinels(ONE, "s/hop", password="p@ss")),
        (
            "redis+sentinel://me:pass@a/shop?sentinel_username=us&sentinel_password=p%26w",
            Sentinels(ONE, "shop", 0, "me", "pass", "us", "p&w"),
        ),
        (
            "rediss+sentinel://a/shop",
            Sentinels(ONE, "shop", tls={"ssl_cert_reqs": "required", "ssl_check_hostname": True}),
        ),
        (
            "rediss+sentinel://a/shop?ssl_ca_certs=%2Fca.crt&ssl_check_hostname=False",
            Sentinels(
                ONE,
                "shop",
                tls={"ssl_cert_reqs": "required", "ssl_check_hostname": False, "ssl_ca_certs": "/ca.crt"},
            ),
        ),
    ],
)
def test_what_a_url_says(url: str, expected: Sentinels | None) -> None:
    assert parse(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://",
        "redis+sentinel://a",
        "redis+sentinel://a/",
        "redis+sentinel:///shop",
        "redis+sentinel://a,/shop",
        "redis+sentinel://a:x/shop",
        "redis+sentinel://a:99999/shop",
        "redis+sentinel://:hidden-pw@a/shop/x",
        "redis+sentinel://:hidden-pw@a/shop/0/1",
        "redis+sentinel://:hidden-pw@a/shop?db=1",
        "rediss+sentinel://:hidden-pw@a/shop?ssl_cert_reqs=none",
        "redis+sentinel://:hidden-pw@a/shop?ssl_ca_certs=/ca.crt",
    ],
)
@pytest.mark.parametrize("name", ["REDIS_URL", "BROKER_URL"])
def test_a_bad_one_is_told_by_name_and_without_its_value(
    url: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, url)
    told = command_line(tmp_path)("doctor", fails=True)
    assert f"{name}: has " in told
    assert "hidden-pw" not in told


def test_celery_is_told_of_every_sentinel() -> None:
    url = "redis+sentinel://me:p%40ss@a:1,[::1]:2/shop/3?sentinel_password=other"
    app = background.celery(Settings(REDIS_URL="redis://r/0", BROKER_URL=url))
    assert app.conf.broker_url == "sentinel://me:p%40ss@a:1/3;sentinel://me:p%40ss@[::1]:2/3"
    options = app.conf.broker_transport_options
    assert (options["master_name"], options["sentinel_kwargs"]["password"]) == ("shop", "other")


@pytest.fixture(scope="module")
def servers() -> Iterator[Group]:
    try:
        with group() as found:
            yield found
    except ServerUnavailable as reason:
        pytest.skip(str(reason))


def test_limits_and_doorbells_follow_the_primary(servers: Group, tmp_path: Path) -> None:
    """Takes go on by the local share meanwhile, and none raises; then they are counted, in full, by the new primary."""
    settings = Settings(data_dir=tmp_path, DATABASE_URL="", REDIS_URL=servers.url, BROKER_URL="")
    bell = background.doorbell(settings, background.celery(settings, producer=True))

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with desk(servers.url) as d:
            assert [grant.remaining for grant in await burst(d.limiter, 2, TEN, 7)] == [9, 8]
            failing = loop.run_in_executor(None, servers.fail_over)
            async with asyncio.timeout(2 * FAILOVER_SECONDS):
                while not (failing.done() and d.transitions[-1:] == [False]):
                    assert (await d.limiter.take(1, (HOURLY,))).granted in {0, 1}
                    await asyncio.sleep(0.01)
            await failing
            assert d.transitions[:1] == [True]
            assert d.limiter.degraded > 0
            fresh = await burst(d.limiter, 2, TEN, 8)
            assert [grant.remaining for grant in fresh] == [9, 8]  # of ten, not of the share

    before = servers.primary
    assert bell.send(1)
    asyncio.run(scenario())
    assert servers.primary != before
    until(lambda: bell.send(1))
    bell.ring((2, 0))
    until(lambda: bell.rung + bell.suppressed == 3 or bell.failed > 0)
    bell.close()
    assert client(servers.url).info("replication")["role"] == "master"


def test_a_sentinel_that_is_silent_hides_no_other(servers: Group) -> None:
    """It takes connections and answers nothing, and whoever asks gives up long before it would be known as dead."""

    async def scenario(port: int) -> None:
        connection = connect(servers.url.replace("@", f"@127.0.0.1:{port},"))
        began, tries = time.monotonic(), 0
        while True:
            tries += 1
            assert time.monotonic() - began < 10
            try:
                async with asyncio.timeout(0.2):
                    assert await connection.ping()
                break
            except TimeoutError:
                continue
        assert tries == 2
        await close(connection)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        asyncio.run(scenario(silent.getsockname()[1]))


def test_doctor_says_whether_another_server_could_take_over(
    servers: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", servers.url)
    run = command_line(tmp_path)
    assert "3 of 3 answer, 1 replicas" in run("doctor", fails=True)  # for want of a database
    for sentinel in servers.sentinels[:2]:
        sentinel.kill9()
    told = run("doctor", fails=True)
    assert "1 of 3 answer, 1 replicas" in told
    assert "no other server can take" in told


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    made = certificate(tmp_path_factory.mktemp("tls"), "server", "IP:127.0.0.1,DNS:localhost")
    with needed(group(made)) as found:
        yield found


def test_by_tls_all_of_it_follows_the_primary(encrypted: Group, tmp_path: Path) -> None:
    """Limits, doorbells, Celery's control, and what `onefold doctor` asks; before and after another one is primary."""
    settings = Settings(data_dir=tmp_path, DATABASE_URL="", REDIS_URL=encrypted.url, BROKER_URL="")
    app = background.celery(settings, producer=True)

    async def take(workspace_id: int) -> list[float]:
        async with desk(encrypted.url) as d:
            return [grant.remaining for grant in await burst(d.limiter, 2, TEN, workspace_id)]

    def pinged() -> bool:
        try:
            return bool(app.control.ping(timeout=0.2) == [])
        except (KombuError, redis.RedisError):  # a connection of before
            return False

    for workspace_id in (1, 2):
        bell = background.doorbell(settings, app)
        # A sentinel may take the primary for dead for a moment. What was decided locally meanwhile counts nowhere.
        until(lambda workspace_id=workspace_id: asyncio.run(take(workspace_id)) == [9, 8])  # type: ignore[misc]
        until(lambda bell=bell, workspace_id=workspace_id: bell.send(workspace_id))  # type: ignore[misc]
        until(pinged)
        assert redis_group.look(parse(encrypted.url)).can_fail_over  # type: ignore[arg-type]
        bell.close()
        if workspace_id == 1:
            encrypted.fail_over()


def test_by_tls_a_certificate_of_somebody_else_is_refused(encrypted: Group, tmp_path: Path) -> None:
    """By sentinels as by servers: no password is sent to either."""
    other = certificate(tmp_path, "other", "IP:127.0.0.1")
    url = f"{encrypted.url.partition('&ssl_ca_certs=')[0]}&ssl_ca_certs={other}"
    settings = Settings(data_dir=tmp_path, DATABASE_URL="", REDIS_URL=url, BROKER_URL="")
    assert not background.doorbell(settings, background.celery(settings, producer=True)).send(1)
    assert redis_group.look(parse(url)).answering == 0  # type: ignore[arg-type]

    async def ask() -> None:
        connection = connect(url)
        with pytest.raises(MasterNotFoundError):
            await connection.ping()
        await close(connection)

    asyncio.run(ask())
    plain = encrypted.url.replace("rediss+", "redis+").partition("&ssl_ca_certs=")[0]
    assert redis_group.look(parse(plain)).answering == 0  # type: ignore[arg-type]
