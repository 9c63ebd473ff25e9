"""What recommended e-commerce events do to a profile (spec ecommerce.md 3)."""

from decimal import Decimal

import msgspec
import pytest

from app.domain import ecommerce, money, times
from app.domain.settings import ApplySettings
from tests.domain.shop import DAY, NOW, P, Q, Shop


def test_orders() -> None:
    shop = Shop()
    shop.order("a", "order_placed", 10.005)  # half up: 1001 cents
    shop.order("a", "order_placed", 20, ago=3)
    shop.order("a", "order_cancelled", 20)
    shop.order("a", "order_refunded", 5.5)
    shop.event("a", "product_viewed", product_id="p", product_name="n", variant_id="v", price=1)
    shop.event("a", "checkout_started", checkout_id="k", total_value=1, products=[P])
    profile = shop.of("a")
    assert profile.revenue_cents == 1001 + 2000 - 550
    assert profile.purchase_count == 0
    assert profile.commerce == {
        "placed": 2,
        "cancelled": 1,
        "refunded": 550,
        "last_order": NOW,
        "days": {str(DAY): [1, 1001, 550], str(DAY - 3): [1, 2000, 0]},
    }
    assert ecommerce.total_orders(profile.commerce) == 1
    assert {name: count for name, (count, _, _) in (profile.events or {}).items()} == {
        "ecommerce.order_placed": 2,
        "ecommerce.order_cancelled": 1,
        "ecommerce.order_refunded": 1,
        "ecommerce.product_viewed": 1,
        "ecommerce.checkout_started": 1,
    }
    assert len(shop.state.changes.occurrences) == 6


def test_more_cancelled_than_placed() -> None:
    shop = Shop()
    shop.order("a", "order_cancelled", 1)
    shop.order("a", "order_cancelled", 1)
    assert ecommerce.total_orders(shop.commerce("a")) == 0


def test_the_rate_is_that_of_the_day() -> None:
    shop = Shop(fixed_rates={"BTC": [[DAY - 1, "100"], [DAY - 9, "50.5"]]})
    shop.order("a", "order_placed", 10, currency="eur")
    shop.order("a", "order_placed", 10, ago=1, currency="EUR")
    shop.order("a", "order_placed", 1, ago=1, currency="BTC")
    shop.order("a", "order_placed", 1, ago=2, currency="BTC")
    assert shop.of("a").revenue_cents == 3000 + 2000 + 10_000 + 5050
    assert shop.order("a", "order_placed", 1, ago=10, currency="BTC") == [("total_value", "no_usd_rate")]
    assert shop.order("a", "order_refunded", 0.25, currency="FRF") == [("total_value", "no_usd_rate")]
    assert shop.of("a").revenue_cents == 20_050
    assert shop.commerce("a")["unbooked"] == {"BTC": "1", "FRF": "-0.25"}
    assert (shop.commerce("a")["placed"], shop.commerce("a")["refunded"]) == (5, 0)


def test_without_a_table_in_force_only_dollars_count() -> None:
    shop = Shop()
    shop.state.settings = ApplySettings()
    assert shop.order("a", "order_placed", 10, currency="EUR") == [("total_value", "no_usd_rate")]
    assert shop.order("a", "order_placed", 10) == []
    assert shop.of("a").revenue_cents == 1000


def test_a_purchase_without_a_rate_is_kept_to_be_booked() -> None:
    shop = Shop()
    purchase = {
        "external_id": "a",
        "product_id": "x",
        "currency": "FRF",
        "price": 1.5,
        "quantity": 3,
        "time": times.iso(NOW),
    }
    assert shop.do("/users/track", {"purchases": [purchase]}) == [("price", "no_usd_rate")]
    assert (
        shop.do("/users/track", {"purchases": [purchase | {"currency": "EUR", "properties": {"colour": "red"}}]}) == []
    )
    assert (shop.of("a").revenue_cents, shop.of("a").purchase_count) == (1350, 6)
    assert shop.commerce("a") == {"unbooked": {"FRF": "4.5"}}
    first, second = shop.state.changes.occurrences
    assert (first.properties, first.cents) == ({"price": 1.5, "currency": "FRF"}, 0)
    assert (second.properties, second.cents) == ({"colour": "red", "price": 1.5, "currency": "EUR"}, 1350)


def test_carts() -> None:
    shop = Shop()
    shop.cart("a", P, Q)
    assert shop.lines("a") == {"p": 2, "q": 1}
    shop.cart("a", {**P, "quantity": 3}, {**P, "variant_id": "blue", "product_id": "p2", "quantity": 1}, action="add")
    assert shop.lines("a") == {"q": 1, "p": 5, "p2": 1}
    assert "total" not in shop.commerce("a")["carts"]["c"]
    shop.cart("a", {**P, "quantity": 4}, {**Q, "quantity": 9}, {**Q, "product_id": "never"}, action="remove")
    assert shop.lines("a") == {"p": 1, "p2": 1}
    shop.cart("a", Q, {**P, "quantity": 0}, action="replace")
    assert shop.lines("a") == {"q": 1}
    assert shop.commerce("a")["carts"]["c"]["total"] == 5
    shop.cart("a", P, ago=1)  # tells of a day before: too late to replace
    assert shop.lines("a") == {"q": 1}
    shop.cart("a", Q, ago=1, action="add")
    assert shop.lines("a") == {"q": 2}
    assert shop.commerce("a")["carts"]["c"]["updated"] == NOW
    shop.cart("a")
    assert ecommerce.open_carts(shop.commerce("a"), NOW) == {}


def test_carts_are_forgotten() -> None:
    shop = Shop()
    shop.cart("a", P, cart="old", ago=31)
    assert shop.commerce("a") == {}
    shop.cart("a", P, cart="month", ago=29)
    assert set(ecommerce.open_carts(shop.commerce("a"), NOW)) == {"month"}
    assert ecommerce.open_carts(shop.commerce("a"), NOW + 2 * times.DAY) == {}
    for number in range(60):
        shop.cart("a", P, cart=f"{number:02d}", ago=20 if number < 30 else 10)
    carts = shop.commerce("a")["carts"]
    assert len(carts) == ecommerce.MAX_CARTS
    assert "month" not in carts
    assert "59" in carts


def test_a_cart_has_so_many_lines_and_no_metadata() -> None:
    shop = Shop()
    shop.cart("a", *({**P, "product_id": str(n), "metadata": {"x": "y"}} for n in range(ecommerce.MAX_LINES + 5)))
    lines = shop.lines("a")
    assert (len(lines), "4" in lines, "5" in lines) == (ecommerce.MAX_LINES, False, True)
    assert "metadata" not in msgspec.json.encode(shop.commerce("a")).decode()


def test_daily_sums_end() -> None:
    shop = Shop()
    for ago in (0, ecommerce.KEPT_DAYS - 1, ecommerce.KEPT_DAYS):
        shop.order("a", "order_placed", 1, ago=ago)
    assert list(shop.commerce("a")["days"]) == [str(DAY), str(DAY - ecommerce.KEPT_DAYS + 1)]
    assert shop.of("a").revenue_cents == 300


@pytest.mark.parametrize(
    ("amount", "usd", "expected"), [("0.005", "1", 1), ("-0.005", "1", -1), ("1e18", "1e6", 2**63 - 1)]
)
def test_cents(amount: str, usd: str, expected: int) -> None:
    assert money.cents(Decimal(amount), Decimal(usd)) == expected


def test_so_many_currencies_wait_to_be_booked() -> None:
    """More than there are: a profile keeps what it has, and what comes in one more is lost, and said so."""
    commerce: dict[str, object] = {}
    for number in range(ecommerce.MAX_UNBOOKED + 5):
        ecommerce.keep_unbooked(commerce, f"C{number:03d}", Decimal(1))
    ecommerce.keep_unbooked(commerce, "C000", Decimal("0.5"))
    ecommerce.keep_unbooked(commerce, "C001", Decimal(-1))
    unbooked = commerce["unbooked"]
    assert isinstance(unbooked, dict)
    assert len(unbooked) == ecommerce.MAX_UNBOOKED - 1
    assert (unbooked["C000"], "C001" in unbooked, f"C{ecommerce.MAX_UNBOOKED}" in unbooked) == ("1.5", False, False)
