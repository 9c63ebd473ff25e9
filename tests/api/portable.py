"""People as an export writes them and an import reads them."""

import json
from collections.abc import Iterable
from typing import Any

from app.contract import portable
from app.domain import times
from app.domain.times import HOUR
from app.services import snapshots
from app.services.caller import Caller
from app.services.imports import Import, Row, Way
from app.store import keys
from tests.api.harness import Json, Workspace, times_now

GOLD = {"groups": [{"filters": [{"field": "custom_attribute", "name": "tier", "op": "equals", "value": "gold"}]}]}


def caller_of(workspace: Workspace) -> Caller:
    return Caller.operator(keys.of_workspace(workspace.service.database, workspace.id), "")


def rows_of(workspace: Workspace, content: str = portable.USERS, **wanted: Any) -> list[Json]:
    reading = snapshots.reading(
        workspace.service.database, caller_of(workspace), snapshots.Wanted(content, **wanted), times_now()
    )
    with reading as (total, rows):
        found = [json.loads(json.dumps(row)) for row in rows]
    assert total in (None, len(found))
    return found


def people(workspace: Workspace) -> str:
    """Three people, one of whom was two before and one of whom nobody knows; when things happened."""
    guest: Json = {"user_alias": {"alias_label": "basket", "alias_name": "b1"}, "_update_existing_only": False}
    when = times.iso(times_now() - HOUR)
    workspace.track(
        {
            "attributes": [
                {"external_id": "ann", "email": "ann@example.org", "phone": "+4930123456", "tier": "gold"},
                {"external_id": "bob", "first_name": "Bob", "email_subscribe": "unsubscribed"},
                {**guest, "twitter": {"id": 7, "screen_name": "guest"}},
            ],
            "events": [
                {**guest, "name": "view", "time": when, "properties": {"page": "/"}},
                {"external_id": "bob", "name": "old", "time": "2020-01-01T00:00:00Z"},
                {"external_id": "gone", "name": "view", "time": when},
            ],
            "purchases": [
                {
                    "external_id": "bob",
                    "product_id": "pen",
                    "currency": "USD",
                    "price": 1.25,
                    "quantity": 3,
                    "time": when,
                },
                {
                    "external_id": "ann",
                    "product_id": "ink",
                    "currency": "KWD",
                    "price": 2,
                    "time": when,
                    "properties": {"colour": "blue"},
                },
            ],
        }
    )
    workspace.post("/users/delete", {"external_ids": ["gone"]})
    pair = {"identifier_to_merge": {"user_alias": guest["user_alias"]}, "identifier_to_keep": {"external_id": "ann"}}
    workspace.post("/users/merge", {"merge_updates": [pair]})
    return when


def import_of(workspace: Workspace, digest: bytes = b"file", way: Way | None = None, **more: Any) -> Import:
    return Import(workspace.service.database, caller_of(workspace), digest, way or Way(), times_now, **more)


def as_rows(documents: Iterable[object]) -> list[Row]:
    return [Row("f", n, json.dumps(one).encode()) for n, one in enumerate(documents, 1)]


def imported(workspace: Workspace, documents: Iterable[object], **more: Any) -> Import:
    """After one run and a drain."""
    run = import_of(workspace, **more)
    list(run.run(as_rows(documents)))
    workspace.drain()
    return run
