"""What the public key of an app opens, over all endpoints from the table that is served: it writes for devices of its
app, reads nothing, and reaches nobody else.
"""

import json
import shutil
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from app.api.app import FAMILIES
from app.api.endpoint import SDK_KEY, WRITE_KEY, Endpoint
from app.domain.identifiers import device_key
from app.domain.profile import Profile
from app.store import apps
from tests.api.harness import KEY_HEADERS, Answer, Json, Service, Workspace, running, settings_for, times_now
from tests.api.sdk import ADA, PEM
from tests.servers import ValkeyServer

#: A text that only the data of a person has.
HERS: Final = "only-of-ada"
DEVICE, STRANGER = "device-of-ada", "device-of-nobody"
BATCH: Final = "/v1/batch"
SITE: Final = "https://shop.example.org"
Start = Callable[..., Service]


def endpoints(service: Service, *, of_sdks: bool = True) -> list[Endpoint]:
    """Those that SDK keys open, or all others."""
    found = [endpoint for family in FAMILIES for endpoint in family(service.services)]
    return [one for one in found if (one.permission in (SDK_KEY, WRITE_KEY)) is of_sdks]


def writing(service: Service) -> Iterator[Endpoint]:
    return (one for one in endpoints(service) if one.method == "POST")


def where(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


def made_app(workspace: Workspace, name: str = "Shop", **more: Any) -> apps.App:
    made = apps.App(f"{name:>036}", name, "web", apps.new_sdk_key(), times_now(), **more)
    apps.create(workspace.service.database, workspace.id, made, 10)
    return made


def body_of(endpoint: Endpoint, device: str, **more: Any) -> Json | None:
    """The example of the document as it comes from a device. `more` goes into every call, or every record."""
    if endpoint.method == "GET":
        return None
    body: Json = deepcopy(endpoint.documentation.example)
    if "device_id" in body:
        body["device_id"] = device
        body["records"] = [one | more for one in body["records"]]
        return body
    for call in body.get("batch", [body]):
        call["anonymousId"] = device
        call.pop("userId", None)
        if "previousId" in call:  # an alias names a person in any case
            call |= {"previousId": device, "userId": "somebody"}
        call.update(more)
    return body


def send(
    service: Service, endpoint: Endpoint, key: str, body: Json | None, headers: dict[str, str] | None = None
) -> Answer:
    path = endpoint.path.replace("{write_key}", key).replace("{call}", "track")
    sent = {"Content-Type": "application/json", KEY_HEADERS[endpoint.path]: key} | (headers or {})
    return service.send(endpoint.method, path, None if body is None else json.dumps(body).encode(), sent)


def with_ada(workspace: Workspace, app: apps.App) -> None:
    """Somebody whose device, names and data there are."""
    traits = {"email": f"{HERS}@example.org", "first_name": HERS, "phone": "+34600123450", HERS: HERS}
    body = {
        "batch": [
            {"type": "identify", "anonymousId": DEVICE, "userId": HERS, "traits": traits},
            {"type": "track", "anonymousId": DEVICE, "event": HERS, "properties": {HERS: HERS}},
        ]
    }
    headers = {"Content-Type": "application/json", KEY_HEADERS[BATCH]: app.sdk_key}
    answer = workspace.service.send("POST", BATCH, json.dumps(body).encode(), headers)
    assert answer.status == 200, answer.text
    workspace.drain()
    alias = {"external_id": HERS, "alias_label": "crm", "alias_name": HERS}
    workspace.post("/users/alias/new", {"user_aliases": [alias]})


def profile_of(workspace: Workspace, app: apps.App, device: str = DEVICE) -> Profile:
    """Whoever has a device."""
    state = workspace.state()
    (pid,) = state.index[device_key(app.id, device)]
    return state.profiles[pid]


def test_an_sdk_key_opens_nothing_else(on_sqlite: Service) -> None:
    workspace = on_sqlite.workspace()
    key = made_app(workspace).sdk_key
    basic = "Basic " + b64encode(f"{key}:".encode()).decode()
    for n, endpoint in enumerate(endpoints(on_sqlite, of_sdks=False)):
        headers = dict.fromkeys(KEY_HEADERS.values(), key) | {"Content-Type": "application/json"}
        headers["Authorization"] = (f"Bearer {key}", basic)[n % 2]
        path = endpoint.path.replace("{", "").replace("}", "") + f"?writeKey={key}"
        content = None if endpoint.method == "GET" else json.dumps({"sdk_key": key, "writeKey": key}).encode()
        answer = on_sqlite.send(endpoint.method, path, content, headers)
        assert (answer.status, answer.body) == (401, {"message": "Invalid API key"}), where(endpoint)


def test_it_reads_nothing(workspace: Workspace) -> None:
    """Every answer is the same for a device of somebody as for one that nobody has, and says nothing of anybody."""
    service, app = workspace.service, made_app(workspace)
    with_ada(workspace, app)
    for endpoint in endpoints(service):
        known, unknown = (
            send(service, endpoint, app.sdk_key, body_of(endpoint, device)) for device in (DEVICE, STRANGER)
        )
        assert 200 <= known.status < 300, (where(endpoint), known.text)
        assert (known.status, known.body) == (unknown.status, unknown.body), where(endpoint)
        shown = known.text + json.dumps(list(known.headers.multi_items()))
        assert HERS not in shown, where(endpoint)


def test_it_reaches_no_device_of_another_app(workspace: Workspace) -> None:
    service, app, other = workspace.service, made_app(workspace), made_app(workspace, "Kiosk")
    with_ada(workspace, app)
    before = asdict(profile_of(workspace, app))
    for endpoint in writing(service):
        answer = send(service, endpoint, other.sdk_key, body_of(endpoint, DEVICE))
        assert 200 <= answer.status < 300, (where(endpoint), answer.text)
    workspace.drain()
    assert asdict(profile_of(workspace, app)) == before
    assert profile_of(workspace, other).pid != before["pid"]


#: By what somebody may be addressed elsewhere.
NAMES: Final[dict[str, Any]] = {
    "external_id": HERS,
    "braze_id": "",
    "user_alias": {"alias_label": "crm", "alias_name": HERS},
    "alias_name": HERS,
    "email": f"{HERS}@example.org",
    "phone": "+34600123450",
    "device_id": DEVICE,
}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_a_device_tells_names_somebody_else(on_sqlite: Service, name: str) -> None:
    """A name of somebody stands in the record, its attributes, traits, properties and context: nothing comes to her."""
    workspace = on_sqlite.workspace("legacy")
    app = made_app(workspace)
    with_ada(workspace, app)
    before = asdict(profile_of(workspace, app))
    value = NAMES[name] or before["braze_id"]
    told = {name: value, "n": 1}
    for endpoint in writing(on_sqlite):
        more = {"attributes": told, "traits": told, "properties": told, "context": {"traits": told}, name: value}
        send(on_sqlite, endpoint, app.sdk_key, body_of(endpoint, STRANGER, **more))
        if endpoint.permission == SDK_KEY:
            for n, kind in enumerate(("attributes", "event", "purchase", "alias", "session_start", "push_token"), 2):
                record = {"type": kind, "seq": n, "name": "e", "alias_label": "crm", "token": "t", **more}
                send(on_sqlite, endpoint, app.sdk_key, (body_of(endpoint, STRANGER, **record) or {}) | {"batch": n})
    workspace.drain()
    assert asdict(profile_of(workspace, app)) == before


def test_nobody_posts_as_somebody_else(on_sqlite: Service) -> None:
    """With SDK authentication: without a signature nothing comes to her, by her device or by her id."""
    workspace = on_sqlite.workspace("legacy")
    app = made_app(workspace, sdk_authentication=True, public_keys=(PEM,))
    call = {"type": "identify", "anonymousId": DEVICE, "userId": "ada", "context": {"signature": ADA}}
    headers = {"Content-Type": "application/json", KEY_HEADERS[BATCH]: app.sdk_key}
    on_sqlite.send("POST", BATCH, json.dumps({"batch": [call]}).encode(), headers)
    workspace.drain()
    before = asdict(profile_of(workspace, app))
    for endpoint in writing(on_sqlite):
        for device, more in ((DEVICE, {}), (STRANGER, {"userId": "ada"}), (DEVICE, {"userId": "ada"})):
            send(on_sqlite, endpoint, app.sdk_key, body_of(endpoint, device, **more))
        if endpoint.permission == SDK_KEY:
            record = {"type": "change_user", "user_id": "ada"}
            answer = send(on_sqlite, endpoint, app.sdk_key, body_of(endpoint, "another device", **record))
            assert answer.status == 403
    workspace.drain()
    after = asdict(profile_of(workspace, app))
    section = ("devices", "updated_us", "updated_index", "size")  # when the device was heard of
    assert {name: after[name] for name in after if name not in section} == {
        name: before[name] for name in before if name not in section
    }
    assert after["devices"].keys() == before["devices"].keys()


def test_pages_of_other_origins_and_closed_apps(on_sqlite: Service) -> None:
    workspace = on_sqlite.workspace()
    app = made_app(workspace, allowed_origins=(SITE,))
    closed = made_app(workspace, "Closed", disabled=True)

    async def asked(path: str) -> httpx.Response:
        headers = {"Origin": SITE, "Access-Control-Request-Method": "POST"}
        return await on_sqlite._client.request("OPTIONS", path, headers=headers)

    for endpoint in endpoints(on_sqlite):
        body = body_of(endpoint, DEVICE)
        ours = send(on_sqlite, endpoint, app.sdk_key, body, {"Origin": SITE})
        theirs = send(on_sqlite, endpoint, app.sdk_key, body, {"Origin": "https://evil.example"})
        nobody = send(on_sqlite, endpoint, apps.new_sdk_key(), body, {"Origin": SITE})
        over = send(on_sqlite, endpoint, closed.sdk_key, body, {"Origin": SITE})
        assert (ours.status < 300, theirs.status, nobody.status, over.status) == (True, 403, 401, 403), where(endpoint)
        assert ours.headers["access-control-allow-origin"] == SITE
        assert "access-control-allow-credentials" not in ours.headers
        assert "access-control-allow-origin" not in theirs.headers
        path = endpoint.path.replace("{write_key}", app.sdk_key).replace("{call}", "track")
        before = on_sqlite.loop.run(asked(path))
        assert (before.status_code, before.headers["access-control-allow-origin"]) == (204, SITE), where(endpoint)


@pytest.fixture
def started(sqlite_template: Path, valkey_server: ValkeyServer, tmp_path: Path) -> Iterator[Start]:
    """Starts services with settings of their own."""
    with ExitStack() as stack:

        def start(**values: Any) -> Service:
            folder = shutil.copytree(sqlite_template, tmp_path / str(len(list(tmp_path.iterdir()))))
            return stack.enter_context(running(settings_for("", valkey_server.url, folder, **values)))

        yield start


@pytest.mark.parametrize("limit", ["sdk-address", "sdk-app"])
def test_quotas_of_addresses_and_apps_count_every_endpoint(started: Start, on_sqlite: Service, limit: str) -> None:
    """Whoever is over waits, wherever they send; others go on."""
    setting = {"sdk-address": "sdk_batches_per_address", "sdk-app": "sdk_batches_per_app"}[limit]
    every = {"trusted_proxies": "127.0.0.1", "sdk_batches_per_device": 0, setting: len(endpoints(on_sqlite))}
    service = started(**every)
    workspace = service.workspace()
    app, other = made_app(workspace), made_app(workspace, "Kiosk")

    def tried(endpoint: Endpoint, app: apps.App, address: str) -> tuple[int, str]:
        answer = send(service, endpoint, app.sdk_key, body_of(endpoint, DEVICE), {"X-Forwarded-For": address})
        return answer.status // 100, answer.body.get("limit", "")

    for endpoint in endpoints(service):
        assert tried(endpoint, app, "192.0.2.1") == (2, ""), where(endpoint)
    for endpoint in endpoints(service):
        assert tried(endpoint, app, "192.0.2.1") == (4, limit), where(endpoint)
        others = (other, "192.0.2.1") if limit == "sdk-app" else (app, "192.0.2.2")
        assert tried(endpoint, *others) == (2, ""), where(endpoint)


def test_quotas_of_devices_count_whatever_is_sent(started: Start) -> None:
    service = started(sdk_batches_per_device=1)
    app = made_app(service.workspace())
    for n, endpoint in enumerate(writing(service)):
        devices = (f"{DEVICE} {n}", f"{DEVICE} {n}", f"{STRANGER} {n}")
        found = [send(service, endpoint, app.sdk_key, body_of(endpoint, device)) for device in devices]
        assert [one.status // 100 for one in found] == [2, 4, 2], where(endpoint)
        assert found[1].body["limit"] == "sdk-device"
