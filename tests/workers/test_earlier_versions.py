"""What an earlier version applied is compared without what that version did not know, and is said to be."""

import json
from typing import Any

from sqlalchemy import text

from app.contract import sdk
from app.contract.kinds import SDK
from app.contract.sdk_records import Sender
from app.domain import times
from app.domain.apply import VERSION
from app.domain.commands import STREAM_NORMAL
from app.store import lane, workspaces
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry
from tests.accepting import accept
from tests.applying import applier
from tests.stores import NOW_US, workspace
from workers import replay

#: What these versions had not: kept apart from the migrations, which only add.
FORGOTTEN = (
    "update applied set version = 0 where workspace_id = :w",
    "delete from series where workspace_id = :w",
    "delete from series_day where workspace_id = :w",
    "delete from series_hour where workspace_id = :w",
    (
        "delete from occurrence where workspace_id = :w and name_id in"
        " (select id from name where workspace_id = :w and kind > 10)"
    ),
    "delete from name_count where workspace_id = :w and kind > 10",
    "update profile set flags = 0 where workspace_id = :w",
)


def visit(database: Database, one: int, number: int, us: int) -> None:
    """A session of a device, which ends."""
    records: list[dict[str, Any]] = [
        {"type": "session_start", "seq": 2 * number, "ago": 60_000},
        {"type": "session_end", "seq": 2 * number + 1, "ago": 0},
    ]
    body = json.dumps({"device_id": "device-a", "batch": number, "records": records}).encode()
    checked = sdk.check(body, Sender("app", "Shop", "web"), us)
    with database.write(database.inbox) as connection:
        inbox.append(connection, one, STREAM_NORMAL, [Entry(SDK, checked.codec, checked.body)], us)


def test_what_an_earlier_version_applied(database: Database) -> None:
    one = workspace(database)
    secret = workspaces.secret(database, one)
    worker = applier(database)
    accept(database, one, NOW_US, spam_event_names=2)
    for n, name in enumerate(("a", "b", "c", "d"), 1):
        event = {"external_id": "dummy", "name": name, "time": times.iso(NOW_US)}
        accept(
            database, one, NOW_US + n * times.SECOND, {"events": [event | {"external_id": "ada"}] if n < 3 else [event]}
        )
        accept(database, one, NOW_US + n * times.SECOND + 1, {"events": [event]})
    visit(database, one, 1, NOW_US + times.MINUTE)
    assert worker.drain(one).dead == 0
    assert (replay.differences(database, one, secret), replay.not_compared(database, one)) == ([], "")
    with database.write() as connection:
        for statement in FORGOTTEN:
            connection.execute(text(statement), {"w": one})
        part = "select pid, doc from profile_part where workspace_id = :w and part = 16"
        for pid, doc in connection.execute(text(part), {"w": one}).all():
            section = json.loads(doc)
            section.pop("active", None)
            written = "update profile_part set doc = :doc where workspace_id = :w and part = 16 and pid = :pid"
            connection.execute(text(written), {"w": one, "pid": pid, "doc": json.dumps(section)})
    assert replay.not_compared(database, one).startswith("series, ")
    assert replay.differences(database, one, secret) == []
    # This version goes on behind it, in a range of its own, and what is wrong is still found.
    visit(database, one, 2, NOW_US + times.HOUR)
    applier(database).drain(one)
    with database.read() as connection:
        assert lane.versions(connection, one) == {0, VERSION}
        assert len(lane.ranges(connection, one)) == 2
    assert replay.differences(database, one, secret) == []
    with database.write() as connection:
        connection.execute(text("update profile set revenue_cents = 7 where workspace_id = :w"), {"w": one})
    found = replay.differences(database, one, secret)
    assert [line.rpartition(" ")[2] for line in found] == ["revenue_cents", "revenue_cents"]
