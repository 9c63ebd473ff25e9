"""Recommended e-commerce events: each schema, each fault with its sentence, both tiers alike (spec ecommerce.md)."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contract import ecommerce, track
from app.contract.ecommerce import EXTRA, MISSING, SCHEMAS, TYPE, VALUE
from app.contract.errors import ObjectRefusedError, RefusedError
from app.contract.track import CODEC_AS_SENT, CODEC_VALID_REST, ECOMMERCE, Limits
from app.domain.commands import TrackEvent

LIMITS = Limits(None, None)
PRODUCT: dict[str, Any] = {"product_id": "p", "product_name": "Jacket", "variant_id": "v", "price": 10.5, "quantity": 2}
COMMON: dict[str, Any] = {"currency": "USD", "source": "shop"}
ORDER: dict[str, Any] = {"order_id": "o", "total_value": 21, "products": [PRODUCT], **COMMON}
#: What each event has to have.
LEAST: dict[str, dict[str, Any]] = {
    "ecommerce.product_viewed": {
        "product_id": "p",
        "product_name": "Jacket",
        "variant_id": "v",
        "price": 10.5,
        **COMMON,
    },
    "ecommerce.cart_updated": {"cart_id": "c", "total_value": 21, "products": [PRODUCT], **COMMON},
    "ecommerce.checkout_started": {"checkout_id": "k", "total_value": 21, "products": [PRODUCT], **COMMON},
    "ecommerce.order_placed": ORDER,
    "ecommerce.order_cancelled": {**ORDER, "cancel_reason": "changed mind"},
    "ecommerce.order_refunded": ORDER,
}
MONEY = {"subtotal_value": 20, "tax": 1.0, "shipping": 0}
DISCOUNTS = {"total_discounts": 0, "discounts": [{"code": "x"}]}
#: What each may have besides.
MOST: dict[str, dict[str, Any]] = {
    "ecommerce.product_viewed": {"image_url": "i", "product_url": "u", "type": ["price_drop", "back_in_stock"]},
    "ecommerce.cart_updated": {"action": "replace", **MONEY},
    "ecommerce.checkout_started": {"cart_id": "c", **MONEY},
    "ecommerce.order_placed": {"cart_id": "c", **MONEY, **DISCOUNTS},
    "ecommerce.order_cancelled": {**MONEY, **DISCOUNTS},
    "ecommerce.order_refunded": DISCOUNTS,
}
FULL_PRODUCT = {**PRODUCT, "image_url": "i", "product_url": "u", "metadata": {"a": [1]}}
NAMES = sorted(SCHEMAS)


def refused(name: str, properties: object) -> tuple[str, str] | None:
    """(code, sentence) of the refusal."""
    try:
        ecommerce.check(name, properties)
    except ObjectRefusedError as error:
        return error.code, error.type
    return None


def full(name: str) -> dict[str, Any]:
    products = {"products": [FULL_PRODUCT, PRODUCT]} if "products" in LEAST[name] else {}
    return {**LEAST[name], **MOST[name], **products, "metadata": {"any": {"thing": [None]}}}


@pytest.mark.parametrize("name", NAMES)
def test_the_least_and_the_most(name: str) -> None:
    assert LEAST.keys() == MOST.keys() == SCHEMAS.keys()
    assert refused(name, LEAST[name]) is None
    assert refused(name, full(name)) is None
    assert full(name).keys() == SCHEMAS[name].required.keys() | SCHEMAS[name].optional.keys()


@pytest.mark.parametrize(("name", "missing"), [(name, key) for name in NAMES for key in LEAST[name]])
def test_a_missing_property(name: str, missing: str) -> None:
    without = {key: value for key, value in LEAST[name].items() if key != missing}
    sentence = f"The property '#/' did not contain a required property of '{missing}'"
    assert refused(name, without) == refused(name, {**LEAST[name], missing: None}) == (MISSING, sentence)


WITH_PRODUCTS = [name for name in NAMES if "products" in LEAST[name]]


@pytest.mark.parametrize("name", WITH_PRODUCTS)
@pytest.mark.parametrize("missing", list(PRODUCT))
def test_a_missing_member_of_a_product(name: str, missing: str) -> None:
    without = {key: value for key, value in PRODUCT.items() if key != missing}
    sentence = f"The property '#/products/1' did not contain a required property of '{missing}'"
    assert refused(name, {**LEAST[name], "products": [PRODUCT, without]}) == (MISSING, sentence)


EXTRA_IN = "The property '{}' contains additional properties {} outside of the schema when none are allowed"
#: Property, value, code and sentence, in an order.
FAULTS: list[tuple[dict[str, Any], str, str]] = [
    (
        {"gift_wrapped": True},
        EXTRA,
        EXTRA_IN.format("#/", '["gift_wrapped"]'),
    ),
    (
        {"products": [{**PRODUCT, "colour": "red", "size": 5}]},
        EXTRA,
        EXTRA_IN.format("#/products/0", '["colour", "size"]'),
    ),
    (
        {"total_value": "21"},
        TYPE,
        "The property '#/total_value' of type string did not match the following type: number",
    ),
    (
        {"total_value": True},
        TYPE,
        "The property '#/total_value' of type boolean did not match the following type: number",
    ),
    ({"order_id": 5}, TYPE, "The property '#/order_id' of type number did not match the following type: string"),
    ({"metadata": []}, TYPE, "The property '#/metadata' of type array did not match the following type: object"),
    (
        {"products": {"0": PRODUCT}},
        TYPE,
        "The property '#/products' of type object did not match the following type: array of objects",
    ),
    (
        {"products": [PRODUCT, "x"]},
        TYPE,
        "The property '#/products' of type array did not match the following type: array of objects",
    ),
    (
        {"products": [{**PRODUCT, "quantity": 1.5}]},
        TYPE,
        "The property '#/products/0/quantity' of type number did not match the following type: integer",
    ),
    ({"total_value": -0.01}, VALUE, "The property '#/total_value' did not have a minimum value of 0, inclusively"),
    (
        {"products": [{**PRODUCT, "quantity": 0}]},
        VALUE,
        "The property '#/products/0/quantity' did not have a minimum value of 1, inclusively",
    ),
    (
        {"products": [PRODUCT, {**PRODUCT, "price": -1}]},
        VALUE,
        "The property '#/products/1/price' did not have a minimum value of 0, inclusively",
    ),
    ({"currency": "doubloons"}, VALUE, "'currency' must be an ISO 4217 currency"),
    ({"source": "  "}, VALUE, "The property '#/source' must not be empty"),
    ({"metadata": {"x": "y" * 110_000}}, VALUE, "The properties must have at most 102400 bytes"),
    # the first fault in the order missing, extra, type, value
    (
        {"order_id": None, "more": 1, "total_value": "x", "currency": "?"},
        MISSING,
        "The property '#/' did not contain a required property of 'order_id'",
    ),
    (
        {"more": 1, "total_value": "x", "currency": "?"},
        EXTRA,
        EXTRA_IN.format("#/", '["more"]'),
    ),
    (
        {"total_value": "x", "currency": "?"},
        TYPE,
        "The property '#/total_value' of type string did not match the following type: number",
    ),
]


@pytest.mark.parametrize(("change", "code", "sentence"), FAULTS, ids=[f"{code} {list(c)}" for c, code, _ in FAULTS])
def test_a_fault(change: dict[str, Any], code: str, sentence: str) -> None:
    assert refused("ecommerce.order_placed", ORDER | change) == (code, sentence)


def test_other_types_and_values() -> None:
    viewed = LEAST["ecommerce.product_viewed"]
    assert refused("ecommerce.product_viewed", viewed | {"type": ["sold_out"]}) == (
        VALUE,
        "The property '#/type' must hold price_drop or back_in_stock",
    )
    cart = LEAST["ecommerce.cart_updated"]
    assert refused("ecommerce.cart_updated", cart | {"action": "clear"}) == (
        VALUE,
        "The property '#/action' must be one of add, remove, replace",
    )


def test_a_cart() -> None:
    """A change of lines tells no total, and a line of nothing only where the whole cart is told."""
    cart = {key: value for key, value in LEAST["ecommerce.cart_updated"].items() if key != "total_value"}
    gone = [{**PRODUCT, "quantity": 0}]
    for action in ("add", "remove"):
        assert refused("ecommerce.cart_updated", {**cart, "action": action}) is None
        found = refused("ecommerce.cart_updated", {**cart, "action": action, "products": gone})
        assert found is not None
        assert found[0] == VALUE
    for whole in ({"action": "replace"}, {}):
        found = refused("ecommerce.cart_updated", {**cart, **whole})
        assert found == (MISSING, "The property '#/' did not contain a required property of 'total_value'")
        assert refused("ecommerce.cart_updated", {**cart, **whole, "total_value": 0, "products": gone}) is None


def test_what_was_sent_is_named_but_not_without_end() -> None:
    sentence = refused("ecommerce.order_placed", ORDER | {f"k{n}" * 90: 1 for n in range(200)})
    assert sentence is not None
    assert len(sentence[1]) < 1_300


@pytest.mark.parametrize("properties", [None, [], {}, "x"])
@pytest.mark.parametrize("name", NAMES)
def test_no_properties(name: str, properties: object) -> None:
    found = refused(name, properties)
    assert found is not None
    assert found[0] == MISSING


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
    assert (quick is not None) <= (refused(name, properties) is None)
    if quick is not None:
        assert quick.recommended
        assert exact.codec == CODEC_VALID_REST | ECOMMERCE
        assert exact.answer == track.check(sent, LIMITS, ecommerce_events=True).answer
    decoded = track.decode(exact.codec, exact.body)
    assert len(decoded) == 2 - len(exact.errors)
