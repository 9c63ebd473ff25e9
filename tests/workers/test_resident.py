"""Profiles in memory: what they take is what they are taken for, and no more than the setting."""

import gc
import sys
import types
from collections.abc import Iterator
from typing import Any, Final

import pytest

from app.domain.commands import StreamKey
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.profiles.resident import Resident
from app.store.profiles.summaries import Summaries
from tests.accepting import entry, send, track
from tests.applying import differences, flowing
from tests.stores import NOW_US, workspace
from workers.apply import FLOW_SHARE

#: What memory may be more than it is taken for; and what it is at least, or the setting buys nothing.
MOST, LEAST = 1.1, 0.4
_SHARED: Final = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)


def taken(root: object) -> int:
    """Bytes of all that can be reached, each object once."""
    seen, waiting, total = {id(one) for one in (None, True, False)}, [root], 0
    while waiting:
        one = waiting.pop()
        if id(one) not in seen and not isinstance(one, _SHARED):
            seen.add(id(one))
            total += sys.getsizeof(one)
            waiting.extend(gc.get_referents(one))
    return total


def events(n: int) -> list[dict[str, Any]]:
    return [
        {"external_id": f"u{n}", "name": f"event {k}", "time": "2026-11-20T00:00:00Z", "properties": {"k": [k]}}
        for k in range(20)
    ]


#: Bodies about person number n, by what a tenant's people are like.
POPULATIONS: Final[dict[str, Any]] = {
    "nearly nothing": lambda n: {"attributes": [{"external_id": f"u{n}", "n": 1}]},
    "addresses": lambda n: {
        "attributes": [{"external_id": f"u{n}", "email": f"u{n}@example.org", "phone": f"+49151{n:08}"}]
    },
    "many attributes": lambda n: {
        "attributes": [{"external_id": f"u{n}", **{f"field {k}": f"value {k} of {n}" for k in range(60)}}]
    },
    "many numbers": lambda n: {"attributes": [{"external_id": f"u{n}", **{f"f{k}": k * 1000 + n for k in range(60)}}]},
    "events": lambda n: {"events": events(n)},
    "aliases": lambda n: {
        "attributes": [
            {"user_alias": {"alias_label": "crm", "alias_name": str(n)}, "_update_existing_only": False, "n": 1}
        ]
    },
    "tags": lambda n: {"attributes": [{"external_id": f"u{n}", "tags": [f"tag {k}" for k in range(30)]}]},
    "empty objects": lambda n: {"attributes": [{"external_id": f"u{n}", "x": [{} for _ in range(300)]}]},
    "nested": lambda n: {
        "attributes": [{"external_id": f"u{n}", "x": {"a": {"a": {"a": {str(k): [[k], []] for k in range(20)}}}}}]
    },
}


def accept(database: Database, workspace_id: int, population: str, people: int, first: int = 0) -> None:
    made = [entry("/users/track", POPULATIONS[population](n)) for n in range(first, first + people)]
    entries = [one for one in made if one is not None]
    assert len(entries) == people
    with database.write(database.inbox) as connection:
        for at in range(0, people, 200):
            inbox.append(connection, workspace_id, 0, entries[at : at + 200], NOW_US)


def drained(worker: Any, workspace_id: int) -> None:
    while worker.drain(workspace_id).requests:
        pass


def residents(worker: Any) -> Iterator[Resident]:
    yield from worker._flows._residents.values()


@pytest.mark.parametrize("population", POPULATIONS)
def test_profiles_take_what_they_are_taken_for(database: Database, population: str) -> None:
    one = workspace(database)
    worker = flowing(database, 100, resident_bytes=10**9)
    for first in range(0, 6_000, 300):  # on a busy machine few of them flow, and the others stay nowhere
        accept(database, one, population, 300, first)
        drained(worker, one)
        for found in residents(worker):
            if len(found.state.profiles) > 200:
                assert LEAST < taken(found) / found.size < MOST
                return
    raise AssertionError("too few of them flow")


@pytest.mark.parametrize(
    ("population", "most"),
    # With little room, identifiers of people who are gone would fill it.
    [("nearly nothing", 1_500_000), ("empty objects", 1_500_000), ("aliases", 300_000), ("addresses", 1_500_000)],
)
def test_no_more_stays_than_the_setting_says(database: Database, population: str, most: int) -> None:
    """Of several workspaces together, and though more people come than there is room for."""
    worker = flowing(database, 20, resident_bytes=most)
    numbers = [workspace(database, name) for name in ("one", "other")]
    for number in numbers:
        accept(database, number, population, 1_000)
        drained(worker, number)
    found = list(residents(worker))
    assert found
    assert sum(map(taken, found)) < 1.3 * most
    assert [differences(database, number) for number in numbers] == [[], []]


NAMES: Final = [f"a rather long name of an event {k}" for k in range(80)]


def wide(n: int, names: list[str]) -> dict[str, Any]:
    return {"events": [{"external_id": f"u{n}", "name": name, "time": "2026-11-20T00:00:00Z"} for name in names]}


def test_many_names_of_events_are_neither_decoded_nor_loaded_with_the_rest(database: Database) -> None:
    """An event of a wide profile takes the memory of its section's JSON, and no more of a batch than that."""
    one, people = workspace(database), 40
    first = flowing(database, 8)
    for n in range(people):
        track(database, one, {"attributes": [{"external_id": f"u{n}", **{f"f{k}": "x" * 200 for k in range(60)}}]})
        track(database, one, wide(n, NAMES[:40]))
        track(database, one, wide(n, NAMES[40:]))
    drained(first, one)
    # The sections of events of ten people fit a batch of a flow together, and four whole profiles do not.
    worker = flowing(database, 10, loaded_bytes=FLOW_SHARE * 10 * 6_000)
    track(database, one, {"attributes": [{"external_id": "somebody else"}]})
    drained(worker, one)
    for n in range(people):
        track(database, one, wide(n, [NAMES[n], NAMES[n], NAMES[79 - n]]))
    worker._flows.saw(StreamKey(one, 0), full=True)
    summary = worker.drain(one)
    assert (summary.requests, summary.flowed > 0, summary.batches) == (people, True, people // 10)
    (found,) = residents(worker)
    assert len(found.state.profiles) == people
    texts = [
        profile.events.text_bytes for profile in found.state.profiles.values() if isinstance(profile.events, Summaries)
    ]
    assert len(texts) == people
    assert min(texts) > 4_000
    assert LEAST < taken(found) / found.size < MOST
    assert found.size < people * 10_000
    assert differences(database, one) == []
    # New names, all of them at once, and someone else's hand in it.
    for n in range(people):
        track(database, one, wide(n, [f"new {n}", NAMES[0], "one more"]))
    send(database, one, "/users/delete", {"external_ids": ["u3"]})
    worker._flows.saw(StreamKey(one, 0), full=True)
    drained(worker, one)
    assert differences(database, one) == []
