"""Backpressure and load shedding: 503 with Retry-After for the stream or caller that is too much, and nobody else."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.contract.errors import BACKLOG_FULL, OVERLOADED
from app.services.accepting.backlog import Limits
from app.services.accepting.gate import Gate
from app.services.refusals import OverloadedError
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


@pytest.fixture
def narrow(service: Service, tmp_path: Path) -> Iterator[Service]:
    """A service that takes three queued requests, and two at once of a key."""
    changes = {"backlog_requests": 3, "max_requests_per_key": 2, "max_requests": 3}
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


def test_a_gate_counts_who_is_inside() -> None:
    gate = Gate(3, 2)
    with gate.enter(), gate.enter_as("a"), gate.enter(), gate.enter_as("a"):
        with pytest.raises(OverloadedError), gate.enter_as("a"):
            pass
        with gate.enter(), gate.enter_as("b"):
            with pytest.raises(OverloadedError), gate.enter():
                pass
            assert gate.inside == 3
    assert gate.inside == 0
    assert not gate._by_key


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
