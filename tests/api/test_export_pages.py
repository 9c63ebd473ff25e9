"""Exports by an address that many have, page by page, and answers that are sent in parts (DECISIONS D72)."""

import json
import random
import tracemalloc
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.contract import export
from app.contract.cursor import BAD_CURSOR
from app.contract.export import MAX_HOLDERS
from app.domain.profile import Profile
from app.domain.state import State
from app.services.caller import Caller
from app.store import keys
from app.store.profiles.save import save
from tests.api.harness import Json, Service, Workspace, running, served, settings_for
from tests.servers import PostgresServer, ValkeyServer

SEED = 7_272
EMAIL = "crowd@example.org"
PHONE = "+15043277269"


def crowd(workspace: Workspace, many: int) -> list[str]:
    """External ids of people with one address and one number, the most recently updated one first."""
    names = [f"u{n}" for n in range(many)]
    for n in range(0, many, 75):
        people = [{"external_id": name, "email": EMAIL, "phone": PHONE} for name in names[n : n + 75]]
        assert workspace.track({"attributes": people}).status == 201
    again = random.Random(SEED).sample(names, min(many, 20))
    for name in again:
        workspace.track({"attributes": [{"external_id": name, "seen": True}]}, drain=False)
    workspace.drain()
    return [*again[::-1], *[name for name in names[::-1] if name not in again]]


def page(workspace: Workspace, **body: object) -> tuple[list[str], Json]:
    answer = workspace.post("/users/export/ids", {"fields_to_export": ["external_id"], **body}, drain=False)
    assert answer.status == 201, answer.text
    return [user["external_id"] for user in answer.body["users"]], answer.body


def pages(workspace: Workspace, **body: object) -> list[list[str]]:
    names, answer = page(workspace, **body)
    found = [names]
    while "next_cursor" in answer:
        names, answer = page(workspace, **body, cursor=answer["next_cursor"])
        found.append(names)
    return found


@pytest.mark.parametrize("selector", [{"email_address": "Crowd@example.org"}, {"phone": "(504) 327-7269"}], ids=str)
def test_page_by_page_everybody_once_the_most_recently_updated_first(
    workspace: Workspace, selector: dict[str, str]
) -> None:
    expected = crowd(workspace, 230)
    found = pages(workspace, **selector)
    assert [len(names) for names in found] == [MAX_HOLDERS, MAX_HOLDERS, 30]
    assert [name for names in found for name in names] == expected, SEED


@pytest.mark.parametrize(("many", "sizes"), [(99, [99]), (100, [100]), (101, [100, 1]), (200, [100, 100])])
def test_the_last_page_has_no_cursor(workspace: Workspace, many: int, sizes: list[int]) -> None:
    expected = crowd(workspace, many)
    found = pages(workspace, email_address=EMAIL)
    assert [len(names) for names in found] == sizes
    assert [name for names in found for name in names] == expected


def test_other_selectors_come_first_and_nobody_comes_twice(workspace: Workspace) -> None:
    expected = crowd(workspace, 150)
    workspace.track({"attributes": [{"external_id": "other"}]})
    body = {"external_ids": ["nobody", "other", expected[120], expected[3]], "email_address": EMAIL}
    first, answer = page(workspace, **body)
    assert first == ["other", expected[120], expected[3], *[n for n in expected[:100] if n != expected[3]]]
    assert answer["invalid_user_ids"] == ["nobody"]
    second, answer = page(workspace, **body, cursor=answer["next_cursor"])
    assert second == [name for name in expected[100:] if name != expected[120]]
    assert answer.keys() == {"users", "message"}


def test_whoever_is_written_to_between_two_pages_is_not_given_twice(workspace: Workspace) -> None:
    expected = crowd(workspace, 130)
    _, answer = page(workspace, email_address=EMAIL)
    workspace.track({"attributes": [{"external_id": expected[5]}, {"external_id": expected[110], "seen": True}]})
    second, _ = page(workspace, email_address=EMAIL, cursor=answer["next_cursor"])
    assert second == [name for name in expected[100:] if name != expected[110]]


def test_a_cursor_belongs_to_its_workspace_and_its_person(service: Service) -> None:
    ours, theirs = service.workspace("legacy"), service.workspace("legacy")
    crowd(theirs, 101)
    expected = crowd(ours, 101)
    _, answer = page(ours, email_address=EMAIL)
    cursor = answer["next_cursor"]
    for workspace, body in [
        (theirs, {"email_address": EMAIL, "cursor": cursor}),
        (ours, {"email_address": "other@example.org", "cursor": cursor}),
        (ours, {"phone": PHONE, "cursor": cursor}),
        (ours, {"external_ids": ["u1"], "cursor": cursor}),
        (ours, {"email_address": "nobody", "cursor": cursor}),
        (ours, {"email_address": EMAIL, "cursor": cursor[:-1]}),
        (ours, {"email_address": EMAIL, "cursor": cursor + "A"}),
        (ours, {"email_address": EMAIL, "cursor": [cursor]}),
        (ours, {"email_address": EMAIL, "cursor": 5}),
        (ours, {"email_address": EMAIL, "cursor": "\ud83d"}),
        (ours, {"email_address": EMAIL, "cursor": "\0"}),
    ]:
        refused = workspace.post("/users/export/ids", json.dumps(body).encode(), drain=False)
        assert (refused.status, refused.body) == (400, {"message": BAD_CURSOR}), body
    assert page(ours, email_address=EMAIL, cursor=cursor)[0] == expected[100:]
    for nothing in (None, ""):
        assert len(page(ours, email_address=EMAIL, cursor=nothing)[0]) == MAX_HOLDERS


def seed(workspace: Workspace, many: int, custom: dict[str, Any]) -> None:
    """The same at once, for a great many."""
    state = State(complete=True)
    for n in range(1, many + 1):
        sections: dict[str, Any] = {name: {} for name in ("events", "purchases", "devices", "messages", "commerce")}
        profile = Profile(n, f"{n:024x}", n, n, 0, f"u{n}", core={}, custom=custom, **sections)
        state.create(profile)
        state.add_identifier(profile, (1, "", f"u{n}"))
        state.set_core(profile, "email", EMAIL)
        if custom:
            state.changed(profile, 2)
    with workspace.service.database.write() as connection:
        save(connection, workspace.id, state, {})


def test_twenty_thousand_holders_cost_as_much_memory_as_a_page(workspace: Workspace) -> None:
    seed(workspace, 20_000, {})
    page(workspace, email_address=EMAIL)
    tracemalloc.start()
    try:
        found, answer = page(workspace, email_address=EMAIL)
        again, _ = page(workspace, email_address=EMAIL, cursor=answer["next_cursor"])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found + again == [f"u{n}" for n in range(20_000, 19_800, -1)]
    assert peak < 3_000_000


MEGABYTE = 1024 * 1024


@pytest.fixture(params=["sqlite", "postgres"])
def parts(
    request: pytest.FixtureRequest, valkey_server: ValkeyServer, postgres_server: PostgresServer, tmp_path: Path
) -> Iterator[Workspace]:
    """Answers of more than a megabyte come in parts."""
    url = postgres_server.create_database(f"parts_{tmp_path.name[-12:]}") if request.param == "postgres" else ""
    with running(settings_for(url, valkey_server.url, tmp_path, stream_megabytes=1)) as service:
        yield service.workspace("legacy")


def test_in_parts_the_answer_is_the_same_and_memory_is_that_of_a_part(parts: Workspace) -> None:
    """100 profiles of 400 KB, 40 MB in all."""
    custom = {f"a{n}": f"{n}" * 100_000 for n in range(4)}
    seed(parts, 101, custom)
    services, loop = parts.service.services, parts.service.loop
    caller = Caller.operator(keys.of_workspace(parts.service.database, parts.id), "")
    wanted = export.read(json.dumps({"email_address": EMAIL, "external_ids": ["u3", "nobody"]}).encode())

    async def take(keep: list[bytes]) -> int:
        found = await services.exporter.export(caller, wanted)
        assert found.rest is not None
        size = len(found.body)
        assert size < 3 * MEGABYTE
        keep.append(found.body)
        async for part in found.rest:
            size += len(part)
            assert len(part) < 2 * MEGABYTE
            if len(keep) < 200:
                keep.append(part)
        return size

    whole: list[bytes] = []
    size = loop.run(take(whole))
    assert size > 40 * MEGABYTE * 0.95
    document = json.loads(b"".join(whole))
    expected = ["u3", *[f"u{n}" for n in range(101, 1, -1) if n != 3]]
    assert [user["external_id"] for user in document["users"]] == expected
    assert all(user["custom_attributes"] == custom for user in document["users"])
    assert (document["message"], document["invalid_user_ids"]) == ("success", ["nobody"])
    del whole, document

    class Dropped(list[bytes]):
        def append(self, part: bytes) -> None:
            del part

    tracemalloc.start()
    try:
        assert loop.run(take(Dropped())) == size
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 * MEGABYTE


def test_over_http_it_is_chunked_and_breaks_off_when_the_database_does(
    valkey_server: ValkeyServer, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    url = postgres_server.create_database(f"broken_{tmp_path.name[-12:]}")
    settings = settings_for(url, valkey_server.url, tmp_path, stream_megabytes=1)
    with running(settings) as service, served(settings) as port:
        workspace = service.workspace("legacy")
        seed(workspace, 30, {f"a{n}": "x" * 100_000 for n in range(10)})  # 30 MB: more than the sockets take
        url = f"http://127.0.0.1:{port}/users/export/ids"
        ask = partial(httpx.stream, "POST", url, headers=workspace.headers(), json={"email_address": EMAIL}, timeout=30)
        with ask() as response:
            assert (response.status_code, response.headers["transfer-encoding"]) == (201, "chunked")
            assert "content-length" not in response.headers
            assert len(json.loads(b"".join(response.iter_raw()))["users"]) == 30
        with ask() as response:
            chunks = response.iter_raw()
            next(chunks)
            with service.database.write() as connection:
                connection.execute(text("alter table profile rename to profile_gone"))
            with pytest.raises(httpx.RemoteProtocolError):
                deque(chunks, maxlen=0)
        with service.database.write() as connection:
            connection.execute(text("alter table profile_gone rename to profile"))
        assert httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200
