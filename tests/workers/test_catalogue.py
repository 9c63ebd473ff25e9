"""A catalogue of names has a bound: what goes on under further names is in the profiles, and nowhere else."""

from typing import Any

import pytest
from sqlalchemy import text

from app.domain.profile import NAME_ATTRIBUTE, NAME_EVENT, NAME_PRODUCT
from app.domain.reasons import CATALOGUE_FULL
from app.store import names, workspaces
from app.store.engine import Database
from app.store.profiles.dump import dump, occurrences
from tests.accepting import track
from tests.applying import applier
from tests.stores import workspace
from workers import replay
from workers.batches import BatchSize

#: Names that the catalogue may have.
MOST = 5


def body(n: int) -> dict[str, Any]:
    """A request with new names of each kind, and with some that come again and again."""
    when = "2026-11-20T00:00:00Z"
    return {
        "attributes": [{"external_id": "ada", "seen": n, f"attribute {n}": True}],
        "events": [{"external_id": "ada", "name": name, "time": when} for name in ("visit", f"event {n}")],
        "purchases": [
            {"external_id": "ada", "product_id": f"product {n}", "currency": "USD", "price": 1, "time": when}
        ],
    }


def test_the_catalogue_is_full(database: Database) -> None:
    number = workspace(database)
    secret = workspaces.secret(database, number)
    first = applier(database, most_names=MOST)
    track(database, number, body(1))
    assert first.drain(number).skipped_by_reason == {}
    with database.read() as connection:
        known = names.listed(connection, number)
    assert known == {
        *((NAME_ATTRIBUTE, "seen"), (NAME_ATTRIBUTE, "attribute 1")),
        *((NAME_EVENT, "visit"), (NAME_EVENT, "event 1"), (NAME_PRODUCT, "product 1")),
    }
    for n in range(2, 6):
        track(database, number, body(n))
    told = [first.drain(number).skipped_by_reason]
    track(database, number, body(5))
    told.append(applier(database, most_names=MOST).drain(number).skipped_by_reason)  # one that remembers nothing
    assert told == [{CATALOGUE_FULL: 4 * 3}, {CATALOGUE_FULL: 2}]  # the attribute had this value already
    with database.read() as connection:
        assert names.listed(connection, number) == known
        counts = names.counts(connection, number)
        kept = [(o[4], o[5]) for o in occurrences(connection, number)]
        (ada,) = dump(connection, number).profiles.values()
        rows = connection.execute(text("select count(*) from name_count")).scalar()
    assert {key[:2]: count for key, count in counts.items()} == {
        **dict.fromkeys(known, 1),
        (NAME_ATTRIBUTE, "seen"): 5,
        (NAME_EVENT, "visit"): 6,
    }
    assert rows == MOST
    assert len(kept) == 6 + 1 + 1
    assert ada.custom == {"seen": 5, **{f"attribute {n}": True for n in range(1, 6)}}
    assert ada.events is not None
    assert {name: summary[0] for name, summary in ada.events.items()} == {
        "visit": 6,
        **{f"event {n}": 1 for n in range(1, 5)},
        "event 5": 2,
    }
    assert ada.purchase_count == 6
    assert replay.differences(database, number, secret, most_names=MOST) == []
    assert replay.differences(database, number, secret) == ["occurrences differ", "counts of names differ"]


@pytest.mark.parametrize("most", [1, 4, 7, 100])
def test_the_log_alone_decides_who_gets_the_last_places(database: Database, most: int) -> None:
    """However its requests are batched, and in whichever order their names sort."""
    catalogues = []
    for requests in (1, 2, 64):
        number = workspace(database, f"w{requests}")
        worker = applier(database, most_names=most)
        worker._sizes = {stream: BatchSize(requests) for stream in (0, 1)}
        for n in (5, 1, 4, 2, 3):
            track(database, number, body(n))
        assert worker.drain(number).dead == 0
        with database.read() as connection:
            catalogues.append(names.listed(connection, number))
        state = replay.reference(database, number, workspaces.secret(database, number))
        in_order = dict.fromkeys(key[:2] for key in state.changes.written)
        assert catalogues[-1] == set(list(in_order)[:most])
        assert replay.differences(database, number, workspaces.secret(database, number), most_names=most) == []
    assert catalogues[0] == catalogues[1] == catalogues[2]


def test_attributes_of_an_earlier_version_come_in_when_they_are_written(database: Database) -> None:
    number = workspace(database)
    track(database, number, {"attributes": [{"external_id": "ada", "seen": 1}]})
    applier(database).drain(number)
    with database.write() as connection:
        connection.execute(text("delete from name"))
    track(database, number, {"attributes": [{"external_id": "ada", "seen": 2}]})
    applier(database).drain(number)
    with database.read() as connection:
        assert names.listed(connection, number) == {(NAME_ATTRIBUTE, "seen")}
        assert names.counts(connection, number) == {(NAME_ATTRIBUTE, "seen", "number"): 2}
