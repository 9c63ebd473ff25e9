"""The service under test: the application of `bootstrap` in this process, its stores, and an applier to drain them.

Requests go through ASGI in an event loop of the harness (or, with `served`, through uvicorn on a port). Nothing of ours
is replaced: PostgreSQL or SQLite, Valkey, Celery's producer and the applier are real. The applier runs when the test
says so, right after an accepted request unless told otherwise, so that no test has to wait for anything.
"""

import itertools
import json
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import redis
import uvicorn
from fastapi import FastAPI

from app.adapters.clock import now_us
from app.api.app import create_app
from app.api.sdk import endpoints as sdk
from app.api.tracking import endpoints as tracking
from app.bootstrap import background, serving
from app.contract import exported, segments
from app.contract.exported import View
from app.domain import custom_attributes, sizes, times
from app.domain.profile import (
    CHANNEL_EMAIL,
    CUSTOM,
    DEVICES,
    EVENTS,
    EXTERNAL,
    GLOBAL_CONTROL_GROUP,
    MARKED_FOR_DELETION,
    NAME_EVENT,
    PURCHASES,
    SPAM_BLOCKED,
    TEST_USER,
    AddressState,
    Occurrence,
    Profile,
)
from app.domain.state import State
from app.services.caller import Caller
from app.services.permissions import PERMISSIONS
from app.services.registry import Services
from app.services.workspaces import change_applied
from app.settings import Settings
from app.store import apps, keys, lane, migrate, tables, workspaces
from app.store.engine import Database
from app.store.profiles.dump import dump, occurrences
from app.store.profiles.save import save
from app.store.segments import run, saved
from app.store.segments.patterns import is_pattern
from tests.api.conformity import Conformity
from tests.api.loop import Loop
from tests.polling import until
from workers.apply import Applier
from workers.summary import Summary

_names = itertools.count(1)
Json = dict[str, Any]

#: Names of flags in the specification's examples.
FLAGS: Final = {
    "test_user": TEST_USER,
    "global_control_group": GLOBAL_CONTROL_GROUP,
    "marked_for_deletion": MARKED_FOR_DELETION,
    "spam_blocked": SPAM_BLOCKED,
}
#: What differs from run to run.
VOLATILE: Final = ("braze_id", "appboy_id", "created_at", "random_bucket")


#: Arrays whose objects may be refused one by one.
INPUT_ARRAYS: Final = (
    *("attributes", "events", "purchases", "messages"),
    *("aliases_to_identify", "emails_to_identify", "phone_numbers_to_identify"),
    *("user_aliases", "alias_updates"),
    *("external_ids", "braze_ids", "email_addresses", "phone_numbers"),
    # An export names one of each by itself.
    *("braze_id", "email_address", "phone", "device_id"),
    "flags",
    "users",
    "records",
    "batch",
)


@dataclass(frozen=True)
class Answer:
    """A response that kept the promises of every answer: see `checked`."""

    status: int
    body: Json
    headers: httpx.Headers
    text: str

    @property
    def message(self) -> str:
        return str(self.body["message"])

    @property
    def request_id(self) -> str:
        return self.headers["X-Request-Id"]

    @property
    def errors(self) -> list[tuple[str, int]]:
        """(input_array, index) of every refused object."""
        return [(entry["input_array"], entry["index"]) for entry in self.body.get("errors", [])]

    @property
    def types(self) -> list[str]:
        return [entry["type"] for entry in self.body.get("errors", [])]

    @property
    def counts(self) -> dict[str, int]:
        return {name.removesuffix("_processed"): n for name, n in self.body.items() if name.endswith("_processed")}


def checked(status: int, headers: httpx.Headers, content: bytes, key: str = "") -> Answer:
    """What holds for every answer, whatever was asked: JSON with a message, its type, an id, and never the key."""
    text = content.decode()
    assert status != 500, text
    if headers["content-type"] == "text/csv; charset=utf-8":  # the one success that is a table
        assert (status, not key or key not in text) == (200, True)
        return Answer(status, {"message": "success"}, headers, text)
    assert headers["content-type"] == "application/json", (status, headers, text)
    body = json.loads(text)
    assert isinstance(body, dict), text
    assert isinstance(body.get("message"), str), text
    assert body["message"], text
    uuid.UUID(headers["x-request-id"])
    assert not key or key not in text, "the key is in the answer"
    assert (body["message"] == "success") == (200 <= status < 300), (status, text)
    errors = body.get("errors")
    if errors is not None:
        assert errors, "an empty list of errors"
        for entry in errors:
            assert isinstance(entry["type"], str), text
            assert entry["type"], text
            assert entry["input_array"] in INPUT_ARRAYS, text
            assert type(entry["index"]) is int, text
    for name, value in body.items():
        assert not name.endswith("_processed") or type(value) is int, text
    if status in (429, 503):
        name = "retry-after" if status == 503 or "retry-after" in headers else "x-ratelimit-retry-after"
        assert int(headers[name]) > 0
    return Answer(status, body, headers, text)


_documented: list[Conformity] = []


def _conformity(app: FastAPI) -> Conformity:
    """The same for all services: what the document promises does not depend on settings."""
    if not _documented:
        _documented.append(Conformity(app.openapi()))
    return _documented[0]


class Service:
    """One API process and one applier over one database."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings.database(), pool_size=2)
        if not migrate.is_current(self.database):
            migrate.upgrade(self.database)
        self._bell = background.doorbell(settings, background.celery(settings, producer=True))
        self.applier: Applier = background.applier(settings, self._bell)
        #: Those of `draining` that nobody uses now: to make one takes longer than most drains.
        self._idle: list[Applier] = []
        self.loop = Loop()
        self.services: Services = self.loop.run(self._services())
        self.app: FastAPI = create_app(self.services)
        self.conformity = _conformity(self.app)
        # Exceptions of the application are raised here: a 500 shows its cause.
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, client=("127.0.0.1", 1)), base_url="http://onefold"
        )

    async def _stop(self) -> None:
        await self.services.aclose()

    async def _services(self) -> Services:
        return serving.services(self.settings)

    def send(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        headers: Mapping[str, str] | Sequence[tuple[bytes, bytes]] = {},
        key: str = "",
    ) -> Answer:
        """One request with exactly these headers."""
        request = self._client.build_request(method, path, content=content, headers=headers)
        if "Content-Type" not in request.headers and "content-length" in request.headers and not content:
            del request.headers["content-length"]
        response = self.loop.run(self._client.send(request))
        answer = checked(response.status_code, response.headers, response.content, key)
        self.conformity.check(method, request.url.path, answer.status, answer.headers, answer.body)
        return answer

    def workspace(self, plan: str = "mau_cy_24_25", **limits: Any) -> "Workspace":
        made = workspaces.create(self.database, f"w{next(_names)}-{uuid.uuid4().hex[:8]}", plan, times_now(), **limits)
        number = workspaces.number(made)
        key = self.key(number, *PERMISSIONS)
        return Workspace(self, number, key, bytes(made.secret))

    def key(self, workspace_id: int, *permissions: str, **options: Any) -> str:
        return keys.create(self.database, workspace_id, uuid.uuid4().hex, permissions, times_now(), **options)

    def drain(self, workspace_id: int) -> Summary:
        summary = self.applier.drain(workspace_id)
        assert not summary.busy
        return summary

    @contextmanager
    def draining(self, workspace_id: int) -> Iterator[None]:
        """An applier at work in the background, as a worker is, for tests of waiting."""
        stop = threading.Event()
        applier = self._idle.pop() if self._idle else background.applier(self.settings, self._bell)

        def run() -> None:
            while not stop.is_set():
                applier.drain(workspace_id)
                stop.wait(0.005)

        thread = threading.Thread(target=run, name="applier")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self._idle.append(applier)

    def close(self) -> None:
        self.loop.run(self._client.aclose())
        self.loop.run(self._stop())
        self.loop.close()
        self._bell.close()
        for applier in (self.applier, *self._idle):
            applier._database.dispose()
        self.database.dispose()


#: The header that has the SDK key of an app, of the paths that ask for one.
KEY_HEADERS: Final = {sdk.PATH: sdk.HEADER} | dict.fromkeys(
    (*tracking.PATHS, *tracking.BATCH, *tracking.JITSU, tracking.SETTINGS, *tracking.SOURCES), tracking.HEADER
)


@dataclass
class Workspace:
    """A tenant of its own for one test."""

    service: Service
    id: int
    key: str
    secret: bytes
    #: Profile numbers of `seed`, by their label.
    seeded: dict[str, int] = field(default_factory=dict)

    def headers(self, **more: str) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.key}",
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in more.items()},
        }

    def headers_for(self, path: str, **more: str) -> dict[str, str]:
        """The headers that open a path: what devices and tracking SDKs send needs the SDK key of an app."""
        name = KEY_HEADERS.get(path)
        if name is None:
            return self.headers(**more)
        app = apps.App(str(uuid.uuid4()), "Shop", "web", apps.new_sdk_key(), times_now())
        apps.create(self.service.database, self.id, app, 100)
        return self.headers(**{name: app.sdk_key}, **more)

    def post(self, path: str, body: object, *, drain: bool = True, **headers: str) -> Answer:
        """POST a JSON value (or bytes as they are), then apply what was accepted."""
        content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        answer = self.service.send("POST", path, content, self.headers_for(path, **headers), self.key)
        if drain and answer.status in (201, 202):
            self.drain()
        return answer

    def track(self, body: object, *, drain: bool = True, **headers: str) -> Answer:
        return self.post("/users/track", body, drain=drain, **headers)

    def track_sync(self, body: object) -> Answer:
        """POST /users/track/sync with an applier at work."""
        with self.service.draining(self.id):
            return self.post("/users/track/sync", body, drain=False)

    def add_segment(self, **fields: Any) -> None:
        """A segment as if somebody had made it, with an id of the test's choice."""
        values = {"description": "", "tags": [], "tracked": False, "definition": {}, **fields}
        segment = tables.Segment(workspace_id=self.id, created_us=1, updated_us=1, **values)
        with self.service.database.write() as connection:
            saved.add(connection, segment)

    def segment(self, document: Json, now_us: int | None = None) -> set[int]:
        """Numbers of the profiles in a segment, by its definition."""
        definition = segments.read_definition(document, is_pattern, lambda _: None)
        with self.service.database.read() as connection:
            found = run.members(connection, self.id, definition, now_us or times_now(), None, 1_000)
        return {member.pid for member in found}

    def drain(self) -> None:
        summary = self.service.drain(self.id)
        assert summary.dead == 0, "an accepted request could not be applied"

    def export(self, **selectors: object) -> list[Json]:
        answer = self.post("/users/export/ids", selectors, drain=False)
        assert answer.status == 201, answer.text
        assert "X-Onefold-Stale" not in answer.headers
        users: list[Json] = answer.body["users"]
        return users

    def user(self, external_id: str) -> Json:
        """The whole exported profile, without what differs from run to run, whose form is checked instead."""
        users = self.export(external_ids=[external_id])
        assert len(users) == 1, users
        return stable(users[0])

    def status(self, request_id: str, wait: str | None = None, key: str | None = None) -> Answer:
        path = f"/v1/requests/{request_id}" + (f"?wait={wait}" if wait is not None else "")
        return self.service.send("GET", path, None, {"Authorization": f"Bearer {key or self.key}"}, self.key)

    def skipped(self, request_id: str) -> list[tuple[str, int, str, str]]:
        """(input_array, index, field, reason) of what had no effect."""
        answer = self.status(request_id)
        assert answer.body["status"] == "applied"
        return [(s["input_array"], s["index"], s.get("field", ""), s["reason"]) for s in answer.body["skipped"]]

    def change(self, **settings: object) -> None:
        operator = Caller.operator(keys.of_workspace(self.service.database, self.id), "")
        change_applied(self.service.database, operator, settings, times_now())
        self.drain()

    def state(self) -> State:
        """Everything the store has of this workspace."""
        with self.service.database.read() as connection:
            return dump(connection, self.id)

    def stored(self) -> list[Json]:
        """Every profile as an export without the 90-day window shows it, in order of creation."""
        state = self.state()
        return [rendered(state, profile) for _, profile in sorted(state.profiles.items())]

    def occurrences(self) -> list[tuple[Any, ...]]:
        with self.service.database.read() as connection:
            return occurrences(connection, self.id)

    def seed(self, given: Sequence[Json]) -> None:
        """Profiles that were there before, in the notation of the specification's examples."""
        state = State(complete=True)
        for number, wanted in enumerate(given, 1):
            self.seeded[wanted.get("ref", str(number))] = number
            _seed(state, number, wanted)
        with self.service.database.write() as connection:
            for address in {(CHANNEL_EMAIL, w["email"], "") for w in given if "email_subscribe" in w and "email" in w}:
                state.set_address(address, AddressState(_subscription(given, address[1]), 0))
            save(connection, self.id, state, {})


def _subscription(given: Sequence[Json], email: str) -> str:
    return next(str(w["email_subscribe"]) for w in given if w.get("email") == email and "email_subscribe" in w)


def _seed(state: State, number: int, wanted: Json) -> None:
    us = times.parse(wanted.get("updated_at", "2026-01-01T00:00:00Z"))
    created = times.parse(wanted.get("created_at", "2025-12-01T00:00:00Z"))
    assert us is not None
    assert created is not None
    profile = Profile(
        pid=number,
        braze_id=wanted.get("braze_id", f"{number:024x}"),
        created_us=created,
        updated_us=us,
        updated_index=0,
        core={},
        custom={},
        events={},
        purchases={},
        devices={},
        messages={},
        commerce={},
    )
    state.create(profile)
    if "external_id" in wanted:
        profile.external_id = wanted["external_id"]
        state.add_identifier(profile, (EXTERNAL, "", wanted["external_id"]))
    for alias in wanted.get("user_aliases", ()):
        state.add_alias(profile, alias["alias_label"], alias["alias_name"])
    for name in ("email", "phone", "first_name", "last_name", "country", "gender"):
        if name in wanted:
            state.set_core(profile, name, wanted[name])
    for name, value in wanted.get("custom_attributes", {}).items():
        assert profile.custom is not None
        profile.custom[name] = custom_attributes.updated(custom_attributes.MISSING, value, custom_attributes.Options())
        state.changed(profile, CUSTOM)
    _seed_behaviour(state, profile, wanted)
    profile.size = sizes.of_profile(profile)
    known = {"ref", "external_id", "braze_id", "user_aliases", "email", "phone", "first_name", "last_name", "gender"}
    known |= {"country", "custom_attributes", "updated_at", "created_at", "email_subscribe", "flags"}
    known |= {"sessions", "custom_events", "purchases", "total_revenue", "push_tokens", "apps"}
    known |= {"session_count", "events"}
    assert wanted.keys() <= known, "the harness does not know how to seed this"


def _seed_behaviour(state: State, profile: Profile, wanted: Json) -> None:
    """What somebody did; no endpoint makes devices and sessions yet."""
    for flag in wanted.get("flags", ()):
        profile.flags |= FLAGS[flag]
    if "sessions" in wanted:
        profile.session_count = wanted["sessions"]["count"]
        profile.first_session_us = times.parse(wanted["sessions"]["first"])
        profile.last_session_us = times.parse(wanted["sessions"]["last"])
    profile.session_count = wanted.get("session_count", profile.session_count)
    for n, event in enumerate(wanted.get("events", ())):
        us = times.parse(event["time"])
        assert us is not None
        assert profile.events is not None
        count, first, last = profile.events.get(event["name"], [0, us, us])
        profile.events[event["name"]] = [count + 1, min(first, us), max(last, us)]
        state.changed(profile, EVENTS)
        state.changes.written[NAME_EVENT, event["name"], ""] += 1
        happened = Occurrence(0, profile.pid, n, profile.pid, NAME_EVENT, event["name"], us, None, None)
        state.changes.occurrences.append(happened)
    for section, name, field_ in ((EVENTS, "custom_events", "events"), (PURCHASES, "purchases", "purchases")):
        for one in wanted.get(name, ()):
            summary = [one["count"], times.parse(one["first"]), times.parse(one["last"])]
            getattr(profile, field_)[one["name"]] = summary
            state.changed(profile, section)
    profile.revenue_cents = round(100 * wanted.get("total_revenue", 0))
    profile.purchase_count = sum(one["count"] for one in wanted.get("purchases", ()))
    if "push_tokens" in wanted or "apps" in wanted:
        assert profile.devices is not None
        profile.devices["tokens"] = {token: {} for token in wanted.get("push_tokens", ())}
        profile.devices["apps"] = {
            app["name"]: {
                "sessions": app["sessions"],
                "first_used": times.parse(app["first_used"]),
                "last_used": times.parse(app["last_used"]),
            }
            for app in wanted.get("apps", ())
        }
        state.changed(profile, DEVICES)


def rendered(state: State, profile: Profile) -> Json:
    email = (profile.core or {}).get("email")
    consent = state.addresses.get((CHANNEL_EMAIL, email, "")) if isinstance(email, str) else None
    user = stable(exported.render(View(profile, consent, times.EARLIEST), None))
    if profile.first_session_us is not None and profile.last_session_us is not None:
        user["sessions"] = {
            "count": profile.session_count,
            "first": times.iso(profile.first_session_us),
            "last": times.iso(profile.last_session_us),
        }
    devices: Any = profile.devices or {}
    if devices:
        user["push_tokens"] = sorted(devices.get("tokens", {}))
        user["apps"] = [
            {
                "name": name,
                "sessions": app["sessions"],
                "first_used": times.iso(app["first_used"]),
                "last_used": times.iso(app["last_used"]),
            }
            for name, app in sorted(devices.get("apps", {}).items())
        ]
    return user


def stable(user: Json) -> Json:
    """An exported profile without VOLATILE, the form of which is checked."""
    assert user["braze_id"] == user["appboy_id"]
    assert len(user["braze_id"]) == 24
    assert set(user["braze_id"]) <= set("0123456789abcdef")
    assert type(user["random_bucket"]) is int
    assert 0 <= user["random_bucket"] <= 9999
    assert times.parse(user["created_at"]) is not None
    return {name: value for name, value in user.items() if name not in VOLATILE}


def profile_of(**fields: object) -> Json:
    """A whole exported profile: what everybody has, and these fields."""
    return {
        "user_aliases": [],
        "total_revenue": 0.0,
        "push_subscribe": "subscribed",
        "email_subscribe": "subscribed",
        **fields,
    }


def summary(name: str, first: str, last: str | None = None, count: int = 1) -> Json:
    return {"name": name, "first": first, "last": last or first, "count": count}


def times_now() -> int:
    return now_us()


#: Longer than by default, for machines that are busy.
ANSWER_SECONDS: Final = 10.0


def settings_for(database_url: str, redis_url: str, data_dir: Path, **values: object) -> Settings:
    """Settings of a service of its own: nothing is shared but the servers. Nothing happens but what the test does."""
    values.setdefault("canary_seconds", 0)
    values.setdefault("failures_per_minute", 0)  # all tests come from one address, and some of them have few valid keys
    values.setdefault("answer_seconds", ANSWER_SECONDS)  # what takes too long is tested with settings of its own
    values.setdefault("quota_timeout_seconds", 1)  # where a machine is short of CPU, 50 ms are over before Redis ran
    return Settings(
        data_dir=data_dir,
        DATABASE_URL=database_url,
        REDIS_URL=redis_url,
        BROKER_URL="",
        key_prefix=f"test-{uuid.uuid4().hex[:12]}:",
        **values,  # type: ignore[arg-type]
    )


@contextmanager
def running(settings: Settings) -> Iterator[Service]:
    service = Service(settings)
    try:
        yield service
    finally:
        service.close()
        _sweep(settings)


def _sweep(settings: Settings) -> None:
    """Leave nothing behind in a Valkey that others use too."""
    client = redis.Redis.from_url(settings.redis())
    try:
        if names := list(client.scan_iter(f"{settings.key_prefix}*", count=1_000)):
            client.unlink(*names)
    except redis.ConnectionError:
        pass  # it was stopped by its test
    finally:
        client.close()


@contextmanager
def served(settings: Settings, http: str = "app.api.protocol:Protocol", **options: Any) -> Iterator[int]:
    """The same application behind uvicorn, set up as the launcher sets it up; yields the port."""

    def create() -> FastAPI:
        return create_app(serving.services(settings))

    config = uvicorn.Config(
        create,
        factory=True,
        loop="app.api.event_loop:Loop",
        http=http,
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=None,
        timeout_graceful_shutdown=1,
        **options,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="uvicorn")
        thread.start()
        try:
            until(lambda: server.started or not thread.is_alive())
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def lane_cursor(service: Service, workspace_id: int) -> int:
    with service.database.read() as connection:
        found = lane.read(connection, workspace_id)
    assert found is not None
    return found.cursors[0]
