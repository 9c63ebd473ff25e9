"""Backpressure and load shedding: 503 with Retry-After for the stream or caller that is too much, and nobody else."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from app.api.bodies import TOO_MANY_VALUES
from app.bootstrap.serving import backlog_limits
from app.contract.errors import BACKLOG_FULL, OVERLOADED, TOO_LARGE
from app.domain.commands import STREAM_BULK, STREAM_NORMAL
from app.domain.times import DAY
from app.services.accepting.backlog import Limits
from app.settings import Settings
from app.store import workspaces
from app.store.inbox.backlog import Backlog
from tests.api.harness import Answer, Service, Workspace, checked, running
from tests.polling import until

ADA = {"attributes": [{"external_id": "ada", "n": {"inc": 1}}]}
NOW_US = 1_795_000_000_000_000


@pytest.mark.parametrize(
    ("limits", "stream", "requests", "age_seconds", "exceeded"),
    [
        (Limits(10, 60.0, 600.0), 0, 10, 60, False),
        (Limits(10, 60.0, 600.0), 0, 11, 1, True),
        (Limits(10, 60.0, 600.0), 0, 1, 61, True),
        (Limits(10, 60.0, 600.0), 1, 1, 61, False),
        (Limits(10, 60.0, 600.0), 1, 1, 601, True),
        (Limits(0, 0, 0), 0, 10**9, 10**6, False),
        (Limits(10, 60.0, 600.0), 0, 1, -5, False),
    ],
)
def test_limits(limits: Limits, stream: int, requests: int, age_seconds: int, exceeded: bool) -> None:
    waiting = Backlog(requests, NOW_US - age_seconds * 1_000_000)
    assert limits.exceeded(stream, waiting, NOW_US) is exceeded


@pytest.mark.parametrize("test_mode", [False, True])
def test_a_clock_that_is_set_makes_no_backlog(tmp_path: Path, test_mode: bool) -> None:
    """What waits while a test moves the clock a year on has not waited for a year."""
    limits = backlog_limits(Settings(data_dir=tmp_path, test_mode=test_mode, backlog_requests=10))
    for stream in (STREAM_NORMAL, STREAM_BULK):
        assert limits.exceeded(stream, Backlog(1, NOW_US - 365 * DAY), NOW_US) is not test_mode
        assert limits.exceeded(stream, Backlog(11, NOW_US), NOW_US)


@pytest.fixture
def narrow(service: Service, tmp_path: Path) -> Iterator[Service]:
    """A service that takes three queued requests, and three at once."""
    changes = {"backlog_requests": 3, "max_requests": 3}
    with running(service.settings.model_copy(update=changes)) as found:
        yield found


def passing(workspace: Workspace, status: int, **headers: str) -> Answer:
    """The answer once the backlog has been looked at often enough for it to have this status."""

    def ask() -> Answer | None:
        answer = workspace.track(ADA, drain=False, **headers)
        return answer if answer.status == status else None

    found = until(ask, timeout=20)
    assert found is not None
    return found


def test_a_stream_that_is_too_far_behind(narrow: Service) -> None:
    full, other = narrow.workspace("legacy"), narrow.workspace("legacy")
    first = full.track(ADA, drain=False, Idempotency_Key="k")
    assert first.status == 201
    refused = passing(full, 503)
    assert (refused.message, refused.headers["Retry-After"]) == (BACKLOG_FULL, "5")
    assert full.track(ADA, drain=False, Idempotency_Key="new").status == 503
    # What was accepted before is still answered, and others notice nothing.
    again = full.track(ADA, drain=False, Idempotency_Key="k")
    assert (again.status, again.request_id) == (201, first.request_id)
    assert full.status(first.request_id).body["status"] == "queued"
    assert other.track(ADA, drain=False).status == 201
    full.drain()
    assert passing(full, 201).status == 201


def test_too_many_at_once(narrow: Service) -> None:
    workspace = narrow.workspace("legacy")

    async def send() -> Answer:
        content = json.dumps(ADA).encode()
        response = await narrow._client.post("/users/track", content=content, headers=workspace.headers())
        return checked(response.status_code, response.headers, response.content)

    async def everything() -> list[Answer]:
        return await asyncio.gather(*(send() for _ in range(10)))

    answers = narrow.loop.run(everything())
    refused = [answer for answer in answers if answer.status == 503]
    assert {(answer.message, answer.headers["Retry-After"]) for answer in refused} == {(OVERLOADED, "1")}
    assert {answer.status for answer in answers} == {201, 503}
    assert len(refused) >= 7
    assert workspace.track(ADA).status == 201  # everybody has left


class Slow:
    """Requests whose bodies are not all here."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._rest = asyncio.Event()
        self._on_arrival: Callable[[], None]
        self._tasks: list[asyncio.Task[int]] = []

    async def begin(self, headers: dict[str, str], many: int, start: bytes = b"{", length: int = 0) -> None:
        """Begin many, and wait until each is refused or has its place."""

        async def body() -> AsyncIterator[bytes]:
            yield start + b" " * length
            self._on_arrival()  # the first part was taken, and more is asked for
            await self._rest.wait()
            yield b"}"

        async def send() -> int:
            response = await self._service._client.post("/users/track", content=body(), headers=headers)
            return response.status_code

        settled = asyncio.Semaphore(0)
        self._on_arrival = settled.release
        for _ in range(many):
            task = asyncio.create_task(send())
            task.add_done_callback(lambda _: settled.release())
            self._tasks.append(task)
        for _ in range(many):
            await settled.acquire()

    async def end(self) -> list[int]:
        self._rest.set()
        return await asyncio.gather(*self._tasks)


KEYLESS = {"Content-Type": "application/json"}


@pytest.mark.parametrize("attack", ["two keys", "no key", "two workspaces", "bytes"])
def test_slow_bodies_leave_places_to_others(service: Service, tmp_path: Path, attack: str) -> None:
    changes = {"max_requests": 16, "max_megabytes_in_hand": 1, "max_unknown_requests_per_address": 2}
    with running(service.settings.model_copy(update=changes)) as narrow:
        hostile, other, victim = (narrow.workspace("legacy") for _ in range(3))
        second = {**hostile.headers(), "Authorization": f"Bearer {narrow.key(hostile.id, 'users.track')}"}
        if attack == "no key":
            name = next(one.name for one in workspaces.listed(narrow.database) if one.id == other.id)
            workspaces.update(narrow.database, name, {"legacy_api_key_auth": True})

        async def scenario() -> tuple[list[Answer], list[int]]:
            slow = Slow(narrow)
            if attack == "no key":
                await slow.begin(KEYLESS, 40)
            elif attack == "bytes":
                await slow.begin(hostile.headers(), 7, length=200_000)
            else:
                await slow.begin(hostile.headers(), 20)
                await slow.begin(second if attack == "two keys" else other.headers(), 20)
            content = json.dumps(ADA | {"filling": "x" * 100_000}).encode()
            answers = []
            for _ in range(3):
                response = await narrow._client.post("/users/track", content=content, headers=victim.headers())
                answers.append(checked(response.status_code, response.headers, response.content))
            return answers, await slow.end()

        answers, statuses = narrow.loop.run(scenario())
        assert [answer.status for answer in answers] == [201, 201, 201]
        assert 503 in statuses
        gate = narrow.services.gate
        assert (gate.inside, gate.places.taken, gate.strangers.taken, gate.bytes.taken) == (0, 0, 0, 0)


@pytest.mark.parametrize("members", ["{}", '""', "[]", "0"])
@pytest.mark.parametrize("name", ["attributes", "external_ids", "aliases_to_identify", "fields_to_export", ""])
def test_a_few_bytes_of_a_great_many_values(on_sqlite: Service, name: str, members: str) -> None:
    """4 KB on the wire that would be gigabytes, or many seconds, when decoded: refused before that."""
    workspace = on_sqlite.workspace("legacy")
    many = ",".join([members] * (4_000_000 // (len(members) + 1)))
    body = gzip.compress((f'{{"{name}":[{many}]}}' if name else f"[{many}]").encode())
    began = time.process_time()
    for path in ("/users/track", "/users/track/bulk", "/users/track/sync", "/users/export/ids", "/users/identify"):
        answer = workspace.post(path, body, Content_Encoding="gzip")
        assert answer.status in (400, 413)
        assert answer.message in (TOO_MANY_VALUES, TOO_LARGE)
    assert time.process_time() - began < 5
