"""Schemas of the recommended e-commerce events: each fault with its sentence (spec ecommerce.md 1, 2)."""

import json
from typing import Any

import pytest

from app.contract import ecommerce
from app.contract.ecommerce import EXTRA, MISSING, SCHEMAS, TYPE, VALUE
from app.contract.errors import ObjectRefusedError
from tests.contract.recommended import LEAST, MOST, NAMES, ORDER, PRODUCT, WITH_PRODUCTS, full


def refused(name: str, properties: object) -> tuple[str, str] | None:
    """(code, sentence) of the refusal."""
    try:
        ecommerce.check(name, properties)
    except ObjectRefusedError as error:
        return error.code, error.type
    return None


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
    ({"metadata": [1]}, TYPE, "The property '#/metadata' of type array did not match the following type: object"),
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
    ({"total_value": 1e22}, VALUE, f"The property '#/total_value' must be below {2**63}"),
    ({"total_value": 2**63}, VALUE, f"The property '#/total_value' must be below {2**63}"),
    ({"products": [{**PRODUCT, "price": 1e19}]}, VALUE, f"The property '#/products/0/price' must be below {2**63}"),
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


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_array_of_php_is_no_object_that_was_sent(name: str) -> None:
    """DECISIONS D63."""
    assert refused(name, {**LEAST[name], "metadata": []}) is None
    if name in WITH_PRODUCTS:
        assert refused(name, {**LEAST[name], "products": [{**PRODUCT, "metadata": []}]}) is None


@pytest.mark.parametrize("written", ["2", "2.0", "2e0", "20e-1"])
def test_a_quantity_is_an_integer_however_it_is_written(written: str) -> None:
    """DECISIONS D64."""
    product = json.loads(json.dumps({**PRODUCT, "quantity": None}).replace("null", written))
    assert refused("ecommerce.order_placed", {**ORDER, "products": [product]}) is None


@pytest.mark.parametrize("properties", [None, [], {}, "x"])
@pytest.mark.parametrize("name", NAMES)
def test_no_properties(name: str, properties: object) -> None:
    found = refused(name, properties)
    assert found is not None
    assert found[0] == MISSING
