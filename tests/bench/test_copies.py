"""Profiles that a database made of others are what the bench says of them."""

from app.domain.profile import BRAZE
from app.store.engine import Database
from app.store.profiles.dump import dump
from bench import copies, data, preload
from tests.stores import workspace

NUMBERS = [0, 9, 10, 12_345, 99_998, 99_999]


def test_copies_are_the_profiles_of_their_numbers(database: Database) -> None:
    workspace_id = workspace(database)
    preload.write(database, workspace_id, NUMBERS, {})
    shifts, most = [data.PERIOD, 49 * data.PERIOD], 49 * data.PERIOD + 99_999
    with database.write() as connection:
        for shift in shifts:
            copies.shifted(connection, workspace_id, shift, most)
    wanted = preload.state([n + shift for shift in (0, *shifts) for n in NUMBERS if n + shift < most])
    with database.read() as connection:
        found = dump(connection, workspace_id)
    assert found.profiles == wanted.profiles
    assert {key: pids for key, pids in found.index.items() if key[0] != BRAZE} == {
        key: pids for key, pids in wanted.index.items() if key[0] != BRAZE
    }
    assert found.addresses == wanted.addresses
