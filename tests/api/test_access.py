"""Keys: where they may be used from and until when, what is remembered of them, and floods of wrong ones."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.services.keys import KeyRing
from app.services.refusals import InvalidKeyError, TooManyFailuresError, UnavailableError
from app.store import keys, workspaces
from app.store.engine import Database
from tests.api.harness import Answer, Service, Workspace, checked, running, settings_for, times_now
from tests.polling import until
from tests.servers import ValkeyServer
from tests.stores import NOW_US

GOOD = b'{"attributes":[{"external_id":"t"}]}'
DENIED, FORBIDDEN, INVALID = {"message": "Access Denied"}, {"message": "Forbidden"}, {"message": "Invalid API key"}
FLOOD = {"message": "Rate Limited", "limit": "address"}


@pytest.fixture(scope="module")
def proxied(valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that trusts a proxy, remembers nothing, and takes three requests a minute without a key."""
    settings = settings_for(
        "",
        valkey_server.url,
        tmp_path_factory.mktemp("proxied"),
        trusted_proxies="10.0.0.0/8, 2001:db8::1",
        key_cache_seconds=0,
        failures_per_minute=3,
        ietf_ratelimit_headers=True,
    )
    with running(settings) as service:
        yield service


def call(service: Service, peer: str, key: str | None, path: str = "/users/track", **headers: str) -> Answer:
    """A request from somewhere else than the harness's own address."""
    transport = httpx.ASGITransport(service.app, client=(peer, 1))

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://onefold") as client:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            if key is not None:
                given["Authorization"] = f"Bearer {key}"
            return await client.post(path, content=GOOD, headers={"Content-Type": "application/json", **given})

    response = service.loop.run(send())
    return checked(response.status_code, response.headers, response.content, key or "")


def test_allow_list(proxied: Service) -> None:
    made = proxied.workspace()
    key = proxied.key(made.id, "users.track", ip_allowlist=["192.0.2.0/24", "2001:db8:f::/48"])
    rows = [
        ("192.0.2.77", "", 201),
        ("192.0.3.1", "", 403),
        ("2001:db8:f:1::5", "", 201),
        ("10.1.1.1", "192.0.2.77", 201),  # through the proxy
        ("10.1.1.1", "192.0.2.77, 203.0.113.9", 403),  # its client made the first hop up
        ("203.0.113.9", "192.0.2.77", 403),  # no proxy of ours
        ("10.1.1.1", "nonsense", 403),
    ]
    for peer, forwarded, status in rows:
        answer = call(proxied, peer, key, **({"X_Forwarded_For": forwarded} if forwarded else {}))
        assert answer.status == status, (peer, forwarded)
        if status == 403:
            assert answer.body == DENIED
            assert answer.headers["X-RateLimit-Limit"] == "1000"


def test_a_denied_call_shows_what_is_left_and_takes_nothing(proxied: Service) -> None:
    denied = proxied.key(proxied.workspace().id, "users.identify")
    for _ in range(3):
        answer = call(proxied, "203.0.113.60", denied)
        assert (answer.status, answer.body) == (403, DENIED)
        assert (answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Remaining"]) == ("1000", "1000")


def test_expiry_and_rotation(proxied: Service) -> None:
    made = proxied.workspace()
    soon = proxied.key(made.id, "users.track", expires_us=times_now() + 60_000_000)
    over = proxied.key(made.id, "users.track", expires_us=times_now() - 1)
    assert call(proxied, "203.0.113.50", soon).status == 201
    refused = call(proxied, "203.0.113.50", over)
    assert (refused.status, refused.body) == (401, INVALID)
    assert call(proxied, "203.0.113.50", made.key).status == 201  # two live keys
    # As docs/security.md says: the client has the second one, the use of the first is seen, and it goes.
    first = keys.listed(proxied.database, made.id)[0]
    until(lambda: keys.listed(proxied.database, made.id)[0].last_seen_us is not None)
    keys.revoke(proxied.database, made.id, first.name, times_now())
    until(lambda: call(proxied, "203.0.113.50", made.key).status == 401, message="it is still taken")
    assert call(proxied, "203.0.113.50", soon).status == 201
    assert [key.revoked_us is not None for key in keys.listed(proxied.database, made.id)] == [True, False, False]


def test_a_disabled_workspace_is_forbidden_and_what_was_accepted_is_applied(service: Service) -> None:
    made = service.workspace()
    assert made.track({"attributes": [{"external_id": "before"}]}, drain=False).status == 201
    change(service, made, disabled=True)
    answer = made.track({"attributes": [{"external_id": "after"}]}, drain=False)
    assert (answer.status, answer.body) == (403, FORBIDDEN)
    assert answer.headers["X-RateLimit-Limit"] == "1000"
    made.drain()
    assert [user["external_id"] for user in made.stored()] == ["before"]
    change(service, made, disabled=False)
    assert made.track({"attributes": []}, drain=False).status == 400


def change(service: Service, made: Workspace, **values: Any) -> None:
    name = next(w.name for w in workspaces.listed(service.database) if w.id == made.id)
    workspaces.update(service.database, name, values)
    service.services.keys.forget(made.id)


def test_the_use_of_a_key_is_recorded(service: Service) -> None:
    made = service.workspace()
    assert made.track({"attributes": [{"external_id": "t"}]}).status == 201

    def seen() -> int | None:
        return keys.listed(service.database, made.id)[0].last_seen_us

    until(lambda: seen() is not None)
    first = seen()
    assert first is not None
    assert abs(first - times_now()) < 60_000_000
    keys.see(service.database, keys.public_id(made.key) or "", first - 1)  # a process that was slow
    assert seen() == first


# A key in the body or the query string, D30


def legacy(made: Workspace, path: str = "/users/track", body: object = None, **headers: str) -> Answer:
    content = GOOD if body is None else json.dumps(body).encode()
    return made.service.send("POST", path, content, {"Content-Type": "application/json", **headers}, made.key)


def test_a_key_in_the_body_or_the_query(proxied: Service) -> None:
    made, other = proxied.workspace(), proxied.workspace()
    body = {"attributes": [{"external_id": "t"}], "api_key": made.key}
    assert legacy(made, body=body).status == 401  # off by default
    change(proxied, made, legacy_api_key_auth=True)
    answer = legacy(made, body=body)
    assert (answer.status, answer.counts) == (201, {"attributes": 1})
    assert int(answer.headers["X-RateLimit-Limit"]) == 1000
    assert legacy(made, f"/users/track?api_key={made.key}").status == 201
    # The header decides where there is one.
    wrong = legacy(made, body=body, Authorization="Basic x")
    assert (wrong.status, wrong.body) == (401, INVALID)
    # Another workspace did not allow it.
    assert legacy(other, body={**body, "api_key": other.key}).status == 401
    # Neither does a body in which there is no key.
    for content, kind in ((b"{", "application/json"), (b"[]", "application/json"), (GOOD, "text/plain")):
        answer = call_raw(proxied, content, kind)
        assert answer.status in (401, 429)
    with proxied.database.read(proxied.database.inbox) as connection:
        rows = connection.exec_driver_sql(f"select body from inbox where workspace_id = {made.id}").scalars()
        assert all(made.key.encode() not in bytes(row) for row in rows)
    made.drain()
    assert [user["external_id"] for user in made.stored()] == ["t"]
    assert "custom_attributes" not in made.user("t")


def call_raw(service: Service, content: bytes, kind: str) -> Answer:
    return service.send("POST", "/users/track", content, {"Content-Type": kind})


# Floods


def test_a_flood_without_a_key_is_stopped_by_address(proxied: Service) -> None:
    made = proxied.workspace("mau_cy_24_25", burst_limit=5, burst_window_seconds=3600)
    unseen = proxied.key(proxied.workspace().id, "users.track")
    assert call(proxied, "198.51.100.1", made.key).headers["X-RateLimit-Remaining"] == "4"
    nobody = keys.new()
    answers = [call(proxied, "198.51.100.1", key) for key in (None, "x", nobody, nobody, None)]
    assert [answer.status for answer in answers] == [401, 401, 401, 429, 429]
    for answer in answers[3:]:
        assert answer.body == FLOOD
        assert 1 <= int(answer.headers["Retry-After"]) <= 20
        assert answer.headers["X-RateLimit-Retry-After"] == answer.headers["Retry-After"]
        assert "X-RateLimit-Limit" not in answer.headers
    # It asked the database nothing more.
    lookups = proxied.services.keys.lookups
    assert call(proxied, "198.51.100.1", keys.new()).status == 429
    assert proxied.services.keys.lookups == lookups
    # The tenant who calls from there goes on, and nothing was taken from it; so does everybody else.
    assert call(proxied, "198.51.100.1", made.key).headers["X-RateLimit-Remaining"] == "3"
    # A key that this process has never seen gets in too; the same id with another secret does not.
    assert call(proxied, "198.51.100.1", unseen).status == 201
    assert call(proxied, "198.51.100.1", unseen[:-1] + ("0" if unseen[-1] != "0" else "1")).status == 429
    assert call(proxied, "198.51.100.2", None).status == 401
    # A made-up X-Forwarded-For makes nobody somebody else.
    assert call(proxied, "198.51.100.1", None, X_Forwarded_For="203.0.113.1").status == 429


# What is remembered. The ring itself, with a clock that stands.


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def ring(database: Database, clock: Callable[[], float], seconds: float = 4.0) -> Iterator[KeyRing]:
    executor = ThreadPoolExecutor(2)
    try:
        yield KeyRing(database, executor, seconds, 2.0, lambda: NOW_US, 0, clock)
    finally:
        executor.shutdown(wait=True)


def somewhere() -> Any:
    return ip_address("192.0.2.1")


def test_a_change_is_seen_within_the_time_of_the_cache_and_nobody_waits_for_it(database: Database) -> None:
    number = workspaces.number(workspaces.create(database, "shop", "legacy", NOW_US, burst_limit=7))
    key = keys.create(database, number, "k", {"users.track"}, NOW_US)
    clock = Clock()

    async def scenario(key_ring: KeyRing) -> None:
        async def limit() -> int | None:
            return (await key_ring.authenticate(f"Bearer {key}", somewhere)).burst_limit

        # Sixty-four at once are one look-up.
        assert await asyncio.gather(*(limit() for _ in range(64))) == [7] * 64
        assert key_ring.lookups == 1
        workspaces.update(database, "shop", {"burst_limit": 8})
        clock.now += 1.9
        assert (await limit(), key_ring.lookups) == (7, 1)
        clock.now += 0.2  # half of the time is over: asked for in the background
        assert await limit() == 7
        deadline = time.monotonic() + 10
        while await limit() == 7:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.001)
        assert key_ring.lookups == 2
        keys.revoke(database, number, "k", NOW_US)
        clock.now += 4.1  # nobody asked meanwhile: the first one waits
        with pytest.raises(InvalidKeyError):
            await limit()

    with ring(database, clock) as key_ring:
        asyncio.run(scenario(key_ring))


def test_forgetting_makes_a_change_seen_at_once(database: Database) -> None:
    number = workspaces.number(workspaces.create(database, "shop", "legacy", NOW_US, burst_limit=7))
    key = keys.create(database, number, "k", {"users.track"}, NOW_US)

    async def scenario(key_ring: KeyRing) -> None:
        assert (await key_ring.authenticate(f"Bearer {key}", somewhere)).burst_limit == 7
        workspaces.update(database, "shop", {"burst_limit": 8})
        key_ring.forget(number + 1)
        assert (await key_ring.authenticate(f"Bearer {key}", somewhere)).burst_limit == 7
        key_ring.forget(number)
        assert (await key_ring.authenticate(f"Bearer {key}", somewhere)).burst_limit == 8

    with ring(database, Clock()) as key_ring:
        asyncio.run(scenario(key_ring))


class HeldExecutor(ThreadPoolExecutor):
    """Does at once what it is told, and hands out one answer only when it is let go."""

    def __init__(self) -> None:
        super().__init__(2)
        self.hold = False
        self.read, self.go = threading.Event(), threading.Event()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if not self.hold:
            return super().submit(fn, *args, **kwargs)
        self.hold = False

        def held() -> Any:
            found = fn(*args, **kwargs)
            self.read.set()
            assert self.go.wait(10)
            return found

        return super().submit(held)


def test_forgetting_forgets_what_is_being_looked_up(database: Database) -> None:
    """A look-up that read what was before the change tells nobody who asks after it, however late it ends."""
    number = workspaces.number(workspaces.create(database, "shop", "legacy", NOW_US, burst_limit=7))
    key = keys.create(database, number, "k", {"users.track"}, NOW_US)
    clock, executor = Clock(), HeldExecutor()

    async def scenario(key_ring: KeyRing) -> None:
        async def limit() -> int | None:
            return (await key_ring.authenticate(f"Bearer {key}", somewhere)).burst_limit

        assert await limit() == 7
        clock.now += 2.1
        executor.hold = True
        assert await limit() == 7  # and it is looked up again in the background
        await asyncio.to_thread(executor.read.wait, 10)
        workspaces.update(database, "shop", {"burst_limit": 8})
        key_ring.forget(number)
        assert await limit() == 8
        late = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        executor.go.set()
        assert late
        await asyncio.wait(late)
        assert await limit() == 8

    with executor:
        asyncio.run(scenario(KeyRing(database, executor, 4.0, 2.0, lambda: NOW_US, 0, clock)))


def test_forgetting_makes_other_changes_seen_at_once(database: Database) -> None:
    """Whether any workspace takes legacy keys, and beside a flood of made-up keys, which keys there are."""
    number = workspaces.number(workspaces.create(database, "shop", "legacy", NOW_US))

    async def scenario(key_ring: KeyRing) -> None:
        assert await key_ring.takes_legacy(somewhere) is False
        for _ in range(2):
            with pytest.raises(InvalidKeyError):
                await key_ring.authenticate(f"Bearer {keys.new()}", somewhere)
        with pytest.raises(TooManyFailuresError):
            await key_ring.authenticate(f"Bearer {keys.new()}", somewhere)
        key = keys.create(database, number, "k", {"users.track"}, NOW_US)
        workspaces.update(database, "shop", {"legacy_api_key_auth": True})
        key_ring.forget(number)
        assert (await key_ring.authenticate(f"Bearer {key}", somewhere)).workspace_id == number
        assert await key_ring.takes_legacy(lambda: ip_address("192.0.2.2")) is True

    with ThreadPoolExecutor(2) as executor:
        asyncio.run(scenario(KeyRing(database, executor, 4.0, 2.0, lambda: NOW_US, 2, Clock())))


def test_an_outage_keeps_known_keys_and_expiry(database: Database, tmp_path: Path) -> None:
    number = workspaces.number(workspaces.create(database, "shop", "legacy", NOW_US))
    key = keys.create(database, number, "k", {"users.track"}, NOW_US)
    ends = keys.create(database, number, "e", {"users.track"}, NOW_US, expires_us=NOW_US + 1)
    clock = Clock()

    async def scenario(key_ring: KeyRing) -> None:
        await key_ring.authenticate(f"Bearer {key}", somewhere)
        await key_ring.authenticate(f"Bearer {ends}", somewhere)
        key_ring._database = Database(f"sqlite:///{tmp_path / 'nowhere' / 'x.db'}")
        clock.now += 100
        assert (await key_ring.authenticate(f"Bearer {key}", somewhere)).key_name == "k"
        with pytest.raises(UnavailableError):
            await key_ring.authenticate(f"Bearer {keys.new()}", somewhere)
        key_ring._now_us = lambda: NOW_US + 1
        with pytest.raises(InvalidKeyError):
            await key_ring.authenticate(f"Bearer {ends}", somewhere)

    with ring(database, clock) as key_ring:
        asyncio.run(scenario(key_ring))
