"""Recommended e-commerce events in requests of /users/track: what is refused, what is marked, both tiers alike."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contract import ecommerce, track
from app.contract.ecommerce import EXTRA, MISSING
from app.contract.errors import RefusedError
from app.contract.track import CODEC_AS_SENT, CODEC_VALID_REST, ECOMMERCE, Limits
from app.domain.commands import TrackEvent
from tests.contract.recommended import LEAST, NAMES, ORDER, PRODUCT, full

LIMITS = Limits(None, None)


def event(name: str, properties: object) -> dict[str, Any]:
    return {"external_id": "a", "name": name, "time": "2026-01-05", "properties": properties}


def body(*events: object) -> bytes:
    return json.dumps({"events": events}).encode()


def test_a_wrong_event_costs_only_itself() -> None:
    wrong = {**ORDER, "gift_wrapped": True}
    checked = track.check(
        body(event(NAMES[0], {}), event("e", None), event("ecommerce.order_placed", wrong)),
        LIMITS,
        ecommerce_events=True,
    )
    answer = json.loads(checked.answer)
    assert answer["events_processed"] == 1
    assert [(entry["index"], entry["input_array"], entry["code"]) for entry in answer["errors"]] == [
        (0, "events", MISSING),
        (2, "events", EXTRA),
    ]
    assert [(error.event, error.code) for error in checked.errors] == [
        (NAMES[0], MISSING),
        ("ecommerce.order_placed", EXTRA),
    ]
    with pytest.raises(RefusedError) as nothing:
        track.check(body(event("ecommerce.order_placed", wrong)), LIMITS, ecommerce_events=True)
    assert nothing.value.status == 400


SPELLINGS = [
    "ecommerce.OrderPlaced",
    "Ecommerce.order_placed",
    "order_placed",
    "ecommerce.order_placed.x",
    "ecommerce.",
]


@pytest.mark.parametrize("name", SPELLINGS)
def test_any_other_spelling_is_an_ordinary_event(name: str) -> None:
    checked = track.check(body(event(name, {"x": 1})), LIMITS, ecommerce_events=True)
    assert checked.codec == CODEC_AS_SENT
    (command,) = track.decode(checked.codec, checked.body)
    assert isinstance(command, TrackEvent)
    assert (command.name, command.recommended) == (name, False)


def test_switched_off_they_are_ordinary_events() -> None:
    checked = track.check(body(event("ecommerce.order_placed", {"x": 1})), LIMITS)
    assert checked.codec == CODEC_AS_SENT
    (command,) = track.decode(checked.codec, checked.body)
    assert isinstance(command, TrackEvent)
    assert not command.recommended


def test_the_connectors_shape() -> None:
    sent = {"order_id": "1", "total_value": 10, "currency": "eur", "source": "shopify", "products": [PRODUCT]}
    checked = track.check(body(event(" ecommerce.order_placed ", sent)), LIMITS, ecommerce_events=True)
    assert checked.codec == CODEC_AS_SENT | ECOMMERCE
    (command,) = track.decode(checked.codec, checked.body)
    assert isinstance(command, TrackEvent)
    assert (command.name, command.recommended) == ("ecommerce.order_placed", True)


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.floats(-2, 3),
    st.sampled_from(["", "x", "USD", "usd", "add", "remove", "replace"]),
    st.just([]),
    st.just({}),
    st.just([PRODUCT]),
    st.just([{**PRODUCT, "quantity": 0}]),
    st.just(["price_drop"]),
)
_KEYS = sorted({key for name in NAMES for key in full(name)} | {"other"})


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(NAMES), st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=4), st.booleans())
def test_both_tiers_see_the_same(name: str, changes: dict[str, Any], more: bool) -> None:
    """The quick tier is sure only where the exact one refuses nothing, and both store an event with its effects."""
    properties = (full(name) if more else LEAST[name]) | changes
    sent = body(event(name, properties), event("e", None))
    quick = track._clean(sent, LIMITS, readers=track._ECOMMERCE_READERS)
    exact = track._walk(sent, LIMITS, readers=track._ECOMMERCE_READERS)
    assert (quick is not None) <= ecommerce.follows(name, properties)
    if quick is not None:
        assert quick.recommended
        assert exact.codec == CODEC_VALID_REST | ECOMMERCE
        assert exact.answer == track.check(sent, LIMITS, ecommerce_events=True).answer
    decoded = track.decode(exact.codec, exact.body)
    assert len(decoded) == 2 - len(exact.errors)
