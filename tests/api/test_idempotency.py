"""Idempotency-Key: a repeat is answered as the first request was, and accepted once (reliability.md 33, 95, 96)."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from app.contract.idempotency import BAD_KEY, REUSED
from app.store.engine import Database
from app.store.inbox import log as inbox
from tests.api.harness import Answer, Json, Service, Workspace, checked, running
from tests.polling import until

ADA: Final[Json] = {"attributes": [{"external_id": "ada", "n": {"inc": 1}}, {"n": 1}]}
EVE: Final[Json] = {"attributes": [{"external_id": "eve", "n": {"inc": 1}}]}


def head(workspace: Workspace) -> int:
    database = workspace.service.database
    with database.read(database.inbox) as connection:
        return inbox.head(connection, workspace.id, 0)


def same(answer: Answer) -> tuple[int, str, str]:
    return answer.status, answer.text, answer.request_id


def at_once(workspace: Workspace, sent: list[tuple[Json, str | None]]) -> list[Answer]:
    """Requests with their keys, all before the first answer."""
    client = workspace.service._client

    async def send(body: Json, key: str | None) -> Answer:
        headers = workspace.headers(**({} if key is None else {"Idempotency_Key": key}))
        response = await client.post("/users/track", content=json.dumps(body).encode(), headers=headers)
        return checked(response.status_code, response.headers, response.content)

    async def everything() -> list[Answer]:
        return await asyncio.gather(*(send(body, key) for body, key in sent))

    return workspace.service.loop.run(everything())


def test_a_repeat_gets_the_first_answer_and_takes_quota(workspace: Workspace) -> None:
    first = workspace.track(ADA, Idempotency_Key="k 1")
    again = workspace.track(ADA, Idempotency_Key="k 1")
    other = workspace.track(ADA, Idempotency_Key="k 2")
    assert first.errors == [("attributes", 1)]
    assert same(again) == same(first)
    assert ("Idempotent-Replayed" in first.headers, again.headers["Idempotent-Replayed"]) == (False, "true")
    assert (other.status, other.text) == (201, first.text)
    assert other.request_id != first.request_id
    left = [int(answer.headers["X-RateLimit-Remaining"]) for answer in (first, again)]
    assert left[1] <= left[0]
    assert head(workspace) == 2
    assert workspace.user("ada")["custom_attributes"] == {"n": 2}


def test_an_answer_that_waits_for_its_request_waits_for_the_first(service: Service, workspace: Workspace) -> None:
    body = {"attributes": [{"external_id": "ada", "n": {"inc": 1}}]}
    with service.draining(workspace.id):
        first, again = (workspace.post("/users/track/sync", body, drain=False, Idempotency_Key="k") for _ in range(2))
        refused = workspace.post("/users/track/sync", EVE, drain=False, Idempotency_Key="k")
    assert first.body["users"] == [{"external_id": "ada", "custom_attributes": {"n": 1}}]
    assert same(again) == same(first)
    assert refused.status == 422
    assert head(workspace) == 1
    # another endpoint, another key
    assert workspace.track(body, Idempotency_Key="k").status == 201
    assert head(workspace) == 2


def test_another_body_is_refused_and_another_workspace_is_not(service: Service, workspace: Workspace) -> None:
    assert workspace.track(ADA, Idempotency_Key="k").status == 201
    refused = workspace.track(EVE, Idempotency_Key="k")
    assert (refused.status, refused.body) == (422, {"message": REUSED})
    assert service.workspace("legacy").track(EVE, Idempotency_Key="k").status == 201
    assert head(workspace) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "x" * 300, "ä".encode().decode("latin-1"), "a\tb"])
def test_a_key_that_is_none(workspace: Workspace, key: str) -> None:
    headers = [(name.encode(), value.encode()) for name, value in workspace.headers().items()]
    for sent in ([key], ["k", "k"]):
        pairs = [*headers, *((b"Idempotency-Key", value.encode("latin-1")) for value in sent)]
        answer = workspace.service.send("POST", "/users/track", json.dumps(ADA).encode(), pairs)
        assert (answer.status, answer.body) == (400, {"message": BAD_KEY})
    assert head(workspace) == 0


def test_longest_key(workspace: Workspace) -> None:
    first = workspace.track(ADA, Idempotency_Key="~" * 255)
    assert first.status == 201
    assert same(workspace.track(ADA, Idempotency_Key="~" * 255)) == same(first)


def test_reading_ignores_the_key(workspace: Workspace) -> None:
    for ids in (["ada"], ["eve"]):
        answer = workspace.post("/users/export/ids", {"external_ids": ids}, drain=False, Idempotency_Key="k")
        assert (answer.status, "Idempotent-Replayed" in answer.headers) == (201, False)


def test_what_is_refused_is_not_stored(workspace: Workspace) -> None:
    assert workspace.track({"attributes": [{}]}, Idempotency_Key="k").status == 400
    mended = workspace.track(ADA, Idempotency_Key="k")
    assert mended.status == 201
    assert workspace.track({"attributes": [{}]}, Idempotency_Key="k").status == 400
    assert same(workspace.track(ADA, Idempotency_Key="k")) == same(mended)


def test_a_repeat_under_new_limits_still_gets_the_first_answer(service: Service, tmp_path: Path) -> None:
    settings = service.settings.model_copy(update={"key_cache_seconds": 0.0})
    body = {"attributes": [{"external_id": f"u{n}"} for n in range(60)]}
    with running(settings) as fresh:
        workspace = fresh.workspace("legacy")
        first = workspace.track(body, Idempotency_Key="k")
        assert first.status == 201
        with fresh.database.write() as connection:
            connection.exec_driver_sql(f"update workspace set plan = 'mau_cy_24_25' where id = {workspace.id}")
        assert workspace.track(body).status == 400
        assert same(workspace.track(body, Idempotency_Key="k")) == same(first)


def test_fifty_at_once_are_one(workspace: Workspace) -> None:
    """Beside others that must not suffer from it: without a key, with keys of their own, and with a wrong body."""
    sent: list[tuple[Json, str | None]] = []
    for n in range(50):
        sent += [(ADA, "k"), (EVE, None), (EVE, f"own {n}"), (EVE, "k")]
    workspace.status("x")  # from now on the key is known: looking it up would shuffle the requests
    answers = at_once(workspace, sent)
    equal, plain, own, wrong = (answers[n::4] for n in range(4))
    assert len({same(answer) for answer in equal}) == 1
    assert {answer.status for answer in [*equal, *plain, *own]} == {201}
    assert {(answer.status, answer.message) for answer in wrong} == {(422, REUSED)}
    assert len({answer.request_id for answer in [*plain, *own]}) == 100
    assert head(workspace) == 101
    workspace.drain()
    assert workspace.user("ada")["custom_attributes"] == {"n": 1}
    assert workspace.user("eve")["custom_attributes"] == {"n": 100}


def test_two_processes_and_one_key(service: Service, workspace: Workspace) -> None:
    """The same key in the flushes of two API processes, many times: one of them is first, and both answer alike."""
    with running(service.settings) as other:
        twin = Workspace(other, workspace.id, workspace.key, workspace.secret)
        sent: list[tuple[Json, str | None]] = [(ADA, f"k{n}") for n in range(40)]
        found: dict[str, list[Answer]] = {}
        threads = [
            threading.Thread(target=lambda w=w, name=name: found.update({name: at_once(w, sent)}))
            for name, w in (("a", workspace), ("b", twin))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [same(answer) for answer in found["a"]] == [same(answer) for answer in found["b"]]
    assert {answer.status for answer in found["a"]} == {201}
    assert head(workspace) == 40


@contextmanager
def blocked(database: Database, workspace: Workspace) -> Iterator[None]:
    """Nobody can accept: another transaction has the counter row, or on SQLite the file."""
    with database.write(database.inbox) as connection:
        connection.exec_driver_sql(f"update inbox_head set head = head where workspace_id = {workspace.id}")
        yield


def test_a_503_that_was_stored_after_all(service: Service, workspace: Workspace, tmp_path: Path) -> None:
    """The client gave up on an answer, as with a connection cut after the commit; its repeat finds what was stored."""
    settings = service.settings.model_copy(update={"answer_seconds": 0.3, "key_cache_seconds": 600.0})
    with running(settings) as hasty:
        own = Workspace(hasty, workspace.id, workspace.key, workspace.secret)
        assert own.track(EVE, drain=False).status == 201  # its key is known from now on
        with blocked(service.database, own):
            lost = own.track(ADA, drain=False, Idempotency_Key="k")
            assert (lost.status, lost.message) == (503, "Service Unavailable")

        until(lambda: head(own) == 2)

        def repeated() -> Answer | None:  # on a busy machine this one may take longer than it may as well
            answer = own.track(ADA, drain=False, Idempotency_Key="k")
            return None if answer.status == 503 else answer

        found = until(repeated)
        assert found is not None
        assert (found.status, found.headers["Idempotent-Replayed"]) == (201, "true")
        status = own.status(found.request_id)
        assert status.status == 200
        assert head(own) == 2
    workspace.drain()
    assert workspace.user("ada")["custom_attributes"] == {"n": 1}
