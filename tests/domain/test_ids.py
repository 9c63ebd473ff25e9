"""Ids of places in the log: a place that is given out again after a restore makes others than it made before."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract import request_id
from app.domain import ids
from app.domain.commands import STREAMS

SECRET = bytes(range(32))
FRESH = [bytes([n]) * ids.FRESH_BYTES for n in (1, 2, 3)]

Maker = Callable[[bytes, int, int], object]
#: Each id that is made of a place, by what makes it.
OF_PLACES: dict[str, Maker] = {
    "request": lambda secret, stream, seq: request_id.make(secret, 1, stream, seq),
    "profile": lambda secret, stream, seq: ids.new_ids(secret, 1, stream, seq, 0).braze_id,
    "merge": lambda secret, stream, seq: ids.merge_id(secret, 1, stream, seq, 0),
    "device": lambda secret, stream, seq: ids.device_id(secret, 1, stream, seq, 0, 0),
    "event": lambda secret, stream, seq: ids.event_id(secret, 1, stream, seq, 7),
}


@pytest.mark.parametrize("make", OF_PLACES.values(), ids=OF_PLACES)
@pytest.mark.parametrize("stream", STREAMS)
def test_places_behind_a_restore_make_other_ids_and_those_before_the_same(make: Maker, stream: int) -> None:
    heads = [5, 5]
    heads[stream] = 10
    restored = ids.renewed(SECRET, heads, FRESH[0])
    again = ids.renewed(SECRET, heads, FRESH[1])
    assert [make(restored, stream, seq) == make(SECRET, stream, seq) for seq in (1, 10, 11, 12)] == [
        *(True, True),
        *(False, False),
    ]
    assert make(again, stream, 11) != make(restored, stream, 11)
    assert make(restored, stream, 11) == make(restored, stream, 11)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=3), st.sampled_from(STREAMS))
def test_whatever_is_restored_in_a_row(restores: list[tuple[int, int]], stream: int) -> None:
    """A place has the key of the last restore that did not bring it back: the last part of those with a lower head."""
    secret, expected = SECRET, dict.fromkeys(range(1, 12), SECRET)
    for heads, fresh in zip(restores, FRESH, strict=False):
        secret = ids.renewed(secret, heads, fresh)
        expected |= dict.fromkeys(range(heads[stream] + 1, 12), SECRET + fresh)
    assert {seq: ids.of_place(secret, stream, seq) for seq in expected} == expected
    assert ids.lasting(secret) == SECRET


def test_an_id_of_before_a_restore_is_known_no_more_where_its_number_was_lost() -> None:
    restored = ids.renewed(SECRET, (10, 0), FRESH[0])
    of_before = [request_id.make(SECRET, 1, 0, seq) for seq in (10, 11)]
    assert [request_id.read(restored, 1, one) for one in of_before] == [(0, 10), None]
    assert request_id.read(restored, 1, request_id.make(restored, 1, 0, 11)) == (0, 11)
    assert request_id.read(SECRET, 1, request_id.make(restored, 1, 0, 11)) is None


@pytest.mark.parametrize(("secret", "fresh"), [(b"short", FRESH[0]), (SECRET, b"short")])
def test_a_secret_that_is_none_is_not_renewed(secret: bytes, fresh: bytes) -> None:
    with pytest.raises(ValueError, match="too short"):
        ids.renewed(secret, (0, 0), fresh)
