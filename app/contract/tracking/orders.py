"""The event `Order Completed`: the recommended event for orders where it fits its schema, else purchases."""

from collections.abc import Mapping
from typing import Any, Final

from app.contract import ecommerce, identifiers
from app.domain import numbers

#: Names of the event, in lower case: the second is that of the first version of the API.
NAMES: Final = frozenset(("order completed", "completed order"))
DEFAULT_CURRENCY: Final = "USD"
Json = dict[str, Any]


def placed(properties: Mapping[str, Any], shop: str) -> Json | None:
    """The record of an order as the recommended event; None where it does not fit the schema of that.

    `shop` stands for the source of an order that names none.
    """
    products = _products(properties)
    if not products or not all(isinstance(product, dict) for product in products):
        return None
    order = _order(properties, products, shop)
    if not ecommerce.follows(ecommerce.ORDER_PLACED, order):
        return None
    return {"type": "event", "name": ecommerce.ORDER_PLACED, "properties": order}


def purchases(properties: Mapping[str, Any]) -> list[Json | None]:
    """A record for each product of an order; None for one without a name or a price."""
    order = {name: value for name, value in properties.items() if name not in ("products", "currency")}
    currency = properties.get("currency", DEFAULT_CURRENCY)
    return [_purchase(product, order, currency) for product in _products(properties)]


def _products(properties: Mapping[str, Any]) -> list[Any]:
    sent = properties.get("products")
    return sent if isinstance(sent, list) else []


def _order(properties: Mapping[str, Any], products: list[Json], shop: str) -> Json:
    lines = [_line(product) for product in products]
    order = {
        "order_id": _first(properties, "order_id", "orderId"),
        "currency": properties.get("currency", DEFAULT_CURRENCY),
        "source": _first(properties, "affiliation") or shop,
        "total_value": _total(properties, lines),
        "subtotal_value": _sum(properties.get("subtotal")),
        "tax": _sum(properties.get("tax")),
        "shipping": _sum(properties.get("shipping")),
        "total_discounts": _sum(properties.get("discount")),
        "cart_id": _first(properties, "cart_id"),
        "products": lines,
        "metadata": _without(properties, _OF_ORDERS),
    }
    return {name: value for name, value in order.items() if value is not None}


#: What is said by a property of the recommended event, so that it need not be said again.
_OF_ORDERS: Final = frozenset(
    (
        "order_id", "orderId", "currency", "affiliation", "total", "revenue", "subtotal", "tax", "shipping", "discount",
        "cart_id", "products",
    )
)  # fmt: skip
_OF_LINES: Final = frozenset(("product_id", "name", "variant", "quantity", "price", "image_url", "url"))


def _line(product: Json) -> Json:
    product_id = _first(product, "product_id", "productId", "id", "sku")
    line = {
        "product_id": product_id,
        "product_name": _first(product, "name") or product_id,
        "variant_id": _first(product, "variant", "sku") or product_id,
        "quantity": _quantity(product),
        "price": _number(product.get("price")),
        "image_url": _first(product, "image_url"),
        "product_url": _first(product, "url"),
        "metadata": _without(product, _OF_LINES),
    }
    return {name: value for name, value in line.items() if value is not None}


def _total(properties: Mapping[str, Any], lines: list[Json]) -> float | None:
    for name in ("total", "revenue", "value"):
        if (found := _number(properties.get(name))) is not None:
            return found
    if all("price" in line and line["quantity"] is not None for line in lines):
        total: float = sum(line["price"] * line["quantity"] for line in lines)
        return round(total, 2)
    return None


def _purchase(product: Any, order: Json, currency: object) -> Json | None:
    if not isinstance(product, dict):
        return None
    named, price = _first(product, "product_id", "productId", "id", "sku", "name"), _number(product.get("price"))
    if named is None or price is None:
        return None
    about = {name: value for name, value in product.items() if name not in ("price", "quantity", "product_id")}
    return {
        "type": "purchase",
        "product_id": named,
        "currency": currency,
        "price": price,
        "quantity": _quantity(product),
        "properties": order | about,
    }


def _quantity(product: Json) -> Any:
    sent = product.get("quantity", 1)
    number = _number(sent)
    return sent if number is None else numbers.integer(number)


def _first(values: Mapping[str, Any], *names: str) -> str | None:
    """The first of these members that is a text which says something, or a number."""
    found = (identifiers.text(values.get(name)) for name in names)
    return next((text for text in found if text is not None and text.strip()), None)


def _number(value: object) -> float | None:
    """A number, or a text that is one: shops send both."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    number: float = value
    return number if abs(number) < 1e18 else None


def _sum(value: object) -> float | None:
    """An amount that an order may do without."""
    found = _number(value)
    return None if found is None or found < 0 else found


def _without(values: Mapping[str, Any], said: frozenset[str]) -> Json | None:
    return {name: value for name, value in values.items() if name not in said and value is not None} or None
