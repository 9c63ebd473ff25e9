"""Merges of merge rules through the inbox and the drain, equal to the reference, however many share an address."""

from typing import Any

import pytest

from app.contract import stored
from app.contract.checked import commands_checked
from app.domain.commands import STREAM_BULK, MergeDuplicate
from app.domain.merging.match import MergeRule, commands, match
from app.domain.profile import EMAIL, Identifier
from app.domain.settings import ApplySettings
from app.store import request_problems
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry
from app.store.profiles.dump import dump
from tests.accepting import send_signed
from tests.applying import applier, differences
from tests.stores import NOW_US, workspace

DUP = "dup@example.org"
SHARED: Identifier = (EMAIL, "", DUP)
Json = dict[str, Any]


def people(many: int, **fields: Any) -> Json:
    return {"attributes": [{"external_id": f"p{n}", "email": DUP, "n": n, **fields} for n in range(many)]}


def asked(database: Database, one: int, rule: MergeRule, settings: ApplySettings | None = None) -> list[MergeDuplicate]:
    """What the rule asks for, of the people as they stand."""
    with database.read() as connection:
        profiles = list(dump(connection, one).profiles.values())
    return commands(rule, match(rule.ties, rule.prioritization, SHARED, profiles, settings or ApplySettings()))


def queue(database: Database, one: int, merges: list[MergeDuplicate]) -> None:
    checked = commands_checked(merges)
    with database.write(database.inbox) as connection:
        entry = Entry(checked.kind, *stored.signed(checked.codec, checked.body, "rules"))
        inbox.append(connection, one, STREAM_BULK, [entry], NOW_US)


def reasons(database: Database, one: int) -> list[str]:
    with database.read() as connection:
        return [reason for *_, reason in request_problems.read(connection, one, STREAM_BULK, 1)]


@pytest.mark.parametrize("loaded_bytes", [24_000_000, 20_000], ids=["at once", "one by one"])
@pytest.mark.parametrize("rule", [MergeRule(EMAIL), MergeRule(EMAIL, "updated_at", "oldest")], ids=["newest", "oldest"])
def test_a_group(database: Database, rule: MergeRule, loaded_bytes: int) -> None:
    """The first merge writes to the kept profile, which stays the choice, also where it is loaded anew each time."""
    one = workspace(database)
    worker = applier(database, loaded_bytes=loaded_bytes)
    send_signed(database, one, "/users/track", people(6, text="x" * 6_000))
    worker.drain(one)
    merges = asked(database, one, rule)
    assert len(merges) == 5
    queue(database, one, merges)
    assert worker.drain(one).counts.merged == 5
    with database.read() as connection:
        (left,) = dump(connection, one).profiles.values()
    assert left.braze_id == merges[0].kept_braze_id
    assert left.external_id == ("p5" if rule.prioritization == "newest" else "p0")
    assert reasons(database, one) == []
    assert differences(database, one) == []


@pytest.mark.parametrize(
    ("joined", "deleted", "reason"),
    [(20, 0, "other_choice"), (23, 0, "too_many_holders"), (150, 0, "too_many_holders"), (150, 140, "other_choice")],
)
def test_a_crowd_that_came_since(database: Database, joined: int, deleted: int, reason: str) -> None:
    """Those who came, and those who go, are in the same batch: not all holders are loaded at first."""
    one = workspace(database)
    worker = applier(database)
    send_signed(database, one, "/users/track", people(3))
    worker.drain(one)
    merges = asked(database, one, MergeRule(EMAIL))
    names = [f"q{n}" for n in range(joined)]
    for first in range(0, joined, 75):
        attributes = [{"external_id": name, "email": DUP} for name in names[first : first + 75]]
        send_signed(database, one, "/users/track", {"attributes": attributes})
    if joined > 100:
        worker.drain(one)
    for first in range(0, deleted, 50):
        send_signed(database, one, "/users/delete", {"external_ids": names[first : min(first + 50, deleted)]})
    queue(database, one, merges)
    summary = worker.drain(one)
    assert (summary.counts.merged, summary.dead) == (0, 0)
    assert reasons(database, one) == [reason] * 2
    assert differences(database, one) == []
