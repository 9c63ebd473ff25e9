"""Recommended e-commerce events that are refused are seen by operators: by event and fault (spec ecommerce.md 2)."""

import json
from typing import Any

import pytest

from app.contract import track
from app.contract.errors import RefusedError
from app.services.accepting import refused_events
from app.services.accepting.refused_events import RefusedEvents
from tests.api.harness import Json, Service, Workspace
from tests.api.reference import equal_to_the_reference
from tests.contract.recommended import ORDER
from tests.polling import until


def event(name: str, properties: object) -> Json:
    return {"external_id": "a", "name": name, "time": "2026-01-05", "properties": properties}


PLACED = "ecommerce.order_placed"
GOOD, EXTRA = event(PLACED, ORDER), event(PLACED, {**ORDER, "gift": True})
MISSING = event("ecommerce.cart_updated", {})
WRONG_TYPE = event(PLACED, {**ORDER, "total_value": "21"})
WRONG_VALUE = event(PLACED, {**ORDER, "currency": "doubloons"})


def counted(workspace: Workspace) -> None:
    """What the service does every few seconds, and what a worker makes of it."""
    workspace.service.loop.run(workspace.service.services.acceptor.refused_events.flush())
    workspace.drain()


def listed(workspace: Workspace, path: str = "/v1/events") -> list[Json]:
    answer = workspace.service.send("GET", path, None, workspace.headers(), workspace.key)
    assert answer.status == 200
    events: list[Json] = answer.body[path.rpartition("/")[2]]
    return events


def test_every_endpoint_counts_what_it_refuses(workspace: Workspace) -> None:
    assert workspace.track({"events": [GOOD, EXTRA, EXTRA, MISSING, event("e", None)]}).status == 201
    assert workspace.track({"events": [WRONG_TYPE, WRONG_VALUE]}).status == 400  # nothing of it is stored
    assert workspace.post("/users/track/bulk", {"events": [EXTRA, GOOD]}).status == 201
    assert workspace.track_sync({"events": [EXTRA]}).status == 400
    assert workspace.track({"events": [{**EXTRA, "name": "e", "time": "never"}, {**EXTRA, "time": None}]}).status == 400
    counted(workspace)
    counted(workspace)
    assert listed(workspace) == [
        {"name": "e", "count": 1, "blocked": False},
        {"name": "ecommerce.cart_updated", "count": 0, "blocked": False, "refused": {"MISSING_PROPERTY": 1}},
        {
            "name": PLACED,
            "count": 2,
            "blocked": False,
            "refused": {"EXTRA_PROPERTY": 4, "INVALID_VALUE": 1, "UNEXPECTED_DATA_TYPE": 1},
        },
    ]
    assert listed(workspace, "/v1/products") == []
    workspace.track({"events": [GOOD, EXTRA]})
    counted(workspace)
    assert [(one["count"], one.get("refused", {}).get("EXTRA_PROPERTY")) for one in listed(workspace)][2] == (3, 5)
    equal_to_the_reference(workspace)


def test_nothing_is_counted_where_they_are_ordinary_events(service: Service) -> None:
    workspace = service.workspace(options={"ecommerce_events": False})
    assert workspace.track({"events": [EXTRA, MISSING]}).status == 201
    counted(workspace)
    assert [one.get("refused") for one in listed(workspace)] == [None, None]


def test_counts_are_stored_by_themselves_and_when_the_service_stops(
    on_sqlite: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refused_events, "SECONDS", 0.01)
    workspace = on_sqlite.workspace()
    writer = on_sqlite.services.acceptor._writer
    errors = _errors(EXTRA)

    async def started() -> RefusedEvents:
        counts = RefusedEvents(writer)
        counts.start()
        return counts

    counts = on_sqlite.loop.run(started())
    counts.count(workspace.id, errors)

    def is_stored() -> bool:
        workspace.drain()
        return bool(listed(workspace))

    until(is_stored)
    monkeypatch.setattr(refused_events, "SECONDS", 60)
    counts.count(workspace.id, errors)
    on_sqlite.loop.run(counts.aclose())
    workspace.drain()
    assert listed(workspace)[0]["refused"] == {"EXTRA_PROPERTY": 2}
    counts.count(4711, errors)  # a workspace that is gone
    on_sqlite.loop.run(counts.flush())
    on_sqlite.loop.run(counts.flush())
    assert counts._waiting == {}


def _errors(sent: Json) -> Any:
    with pytest.raises(RefusedError) as refused:
        track.check(json.dumps({"events": [sent]}).encode(), track.Limits(None, None), ecommerce_events=True)
    return refused.value.errors
