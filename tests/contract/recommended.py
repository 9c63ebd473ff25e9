"""Properties of the recommended e-commerce events: the least and the most that each may have (spec ecommerce.md 1)."""

from typing import Any

from app.contract.ecommerce import SCHEMAS

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
WITH_PRODUCTS = [name for name in NAMES if "products" in LEAST[name]]


def full(name: str) -> dict[str, Any]:
    """All that an event of this name may have."""
    products = {"products": [FULL_PRODUCT, PRODUCT]} if "products" in LEAST[name] else {}
    return {**LEAST[name], **MOST[name], **products, "metadata": {"any": {"thing": [None]}}}
