"""What recommended e-commerce events do to a profile, and what merges and undo make of it (spec ecommerce.md 3)."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.contract import merge_records, stored
from app.domain import ecommerce, money, times
from app.domain.apply import reduce
from app.domain.commands import Request
from app.domain.profile import EXTERNAL, Profile
from app.domain.settings import ApplySettings
from app.domain.state import State
from tests.accepting import entry

Json = dict[str, Any]
NOW = 1_795_000_000_000_000
DAY = NOW // times.DAY
P = {"product_id": "p", "product_name": "Jacket", "variant_id": "red", "price": 10.5, "quantity": 2}
Q = {"product_id": "q", "product_name": "Hat", "variant_id": "s", "price": 3, "quantity": 1}


class Shop:
    """A workspace in memory with rates: EUR is 2 USD until a day, 3 from then on; nobody knows ABC's historic FRF."""

    def __init__(self, **more: Any) -> None:
        self.state = State(complete=True, settings=ApplySettings(rates_until=DAY, **more))
        self.state.reference_rates = lambda currency, day: Decimal(2 if day < DAY else 3) if currency == "EUR" else None
        self.seq = 0

    def do(self, path: str, body: Json) -> list[tuple[str, str]]:
        """Apply a request; (field, reason) of what had no effect."""
        made = entry(path, body)
        assert made is not None, "refused"
        return self.apply(stored.commands(made.kind, made.codec, made.body))

    def apply(self, commands: list[Any]) -> list[tuple[str, str]]:
        self.seq += 1
        before = len(self.state.changes.problems)
        reduce([Request(0, self.seq, NOW + 2 * self.seq, commands)], self.state, 1, b"k")
        return [(p.field, p.reason) for p in self.state.changes.problems[before:]]

    def event(self, who: str, name: str, ago: int = 0, **properties: Any) -> list[tuple[str, str]]:
        sent = {"currency": "USD", "source": "shop", **properties}
        time = times.iso(NOW - ago * times.DAY)
        return self.do(
            "/users/track",
            {"events": [{"external_id": who, "name": f"ecommerce.{name}", "time": time, "properties": sent}]},
        )

    def order(self, who: str, name: str, total: float, ago: int = 0, **more: Any) -> list[tuple[str, str]]:
        reason = {"cancel_reason": "x"} if name == "order_cancelled" else {}
        return self.event(who, name, ago, order_id="o", total_value=total, products=[P], **reason, **more)

    def cart(self, who: str, *products: Json, ago: int = 0, cart: str = "c", **more: Any) -> None:
        whole = {} if more.get("action") in ("add", "remove") else {"total_value": 5}
        assert self.event(who, "cart_updated", ago, cart_id=cart, products=list(products), **whole, **more) == []

    def of(self, who: str) -> Profile:
        profile = self.state.owner((EXTERNAL, "", who))
        assert profile is not None
        return profile

    def commerce(self, who: str) -> Json:
        return self.of(who).commerce or {}

    def lines(self, who: str, cart: str = "c") -> dict[str, int]:
        return {line["product_id"]: line["quantity"] for line in self.commerce(who)["carts"][cart]["lines"].values()}

    def merge(self, merged: str, kept: str) -> None:
        pair = {"identifier_to_merge": {"external_id": merged}, "identifier_to_keep": {"external_id": kept}}
        assert self.do("/users/merge", {"merge_updates": [pair]}) == []

    def undo(self, merge_id: str) -> list[tuple[str, str]]:
        checked = merge_records.undo(merge_id)
        return self.apply(stored.commands(checked.kind, checked.codec, checked.body))


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


class History(RuleBasedStateMachine):
    """Any history of events, purchases, merges and undo, against books of each person that know nothing of profiles.

    A person is who the events were sent about. Merged people are one; an undo makes them two again, and what was sent
    in between stays with the kept one.
    """

    people = st.sampled_from(["a", "b", "c"])

    def __init__(self) -> None:
        super().__init__()
        self.shop = Shop()
        #: What each profile has, by the external id that it was made with.
        self.books: dict[str, defaultdict[str, int]] = {}
        self.carts: dict[str, dict[str, tuple[int, dict[str, int]]]] = {}
        self.merges: list[tuple[str, str, str, defaultdict[str, int], dict[str, tuple[int, dict[str, int]]]]] = []

    def _book(self, who: str) -> defaultdict[str, int]:
        self.carts.setdefault(who, {})
        return self.books.setdefault(who, defaultdict(int))

    @rule(
        who=people,
        name=st.sampled_from(["order_placed", "order_refunded", "order_cancelled"]),
        total=st.integers(0, 999),
    )
    def order(self, who: str, name: str, total: int) -> None:
        book = self._book(who)
        assert self.shop.order(who, name, total) == []
        book[name] += 1
        book["cents"] += {"order_placed": 100, "order_refunded": -100, "order_cancelled": 0}[name] * total
        book["refunded"] += 100 * total if name == "order_refunded" else 0

    @rule(who=people, price=st.integers(-5, 99), quantity=st.integers(1, 3))
    def purchase(self, who: str, price: int, quantity: int) -> None:
        book = self._book(who)
        sent = {"external_id": who, "product_id": "x", "currency": "USD", "price": price, "time": times.iso(NOW)}
        assert self.shop.do("/users/track", {"purchases": [{**sent, "quantity": quantity}]}) == []
        book["cents"] += 100 * price * quantity

    @rule(who=people, cart=st.sampled_from(["x", "y"]), action=st.sampled_from(["add", "replace"]), n=st.integers(1, 3))
    def fill_cart(self, who: str, cart: str, action: str, n: int) -> None:
        self._book(who)
        # No two writes are alike: one that repeats what a merge left would leave no trace for the undo.
        self.shop.cart(who, {**P, "quantity": n, "price": self.shop.seq}, cart=cart, action=action)
        before = self.carts[who].get(cart, (0, {}))[1] if action == "add" else {}
        self.carts[who][cart] = (self.shop.seq, {"p": before.get("p", 0) + n})

    @precondition(lambda self: len(self.books) > 1)
    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        merged, kept = data.draw(st.permutations(sorted(self.books)))[:2]
        self.shop.merge(merged, kept)
        theirs, their_carts = self.books.pop(merged), self.carts.pop(merged)
        # Carts of one id have one time in these histories, so the kept profile's own stays.
        came = {name: cart for name, cart in their_carts.items() if name not in self.carts[kept]}
        self.carts[kept] |= came
        for name, value in theirs.items():
            self.books[kept][name] += value
        merge_id = (self.shop.of(kept).core or {})["last_merge"]
        self.merges.append((str(merge_id), kept, merged, theirs, their_carts))

    @precondition(
        lambda self: self.merges and self.merges[-1][1] in self.books and self.merges[-1][2] not in self.books
    )
    @rule()
    def undo(self) -> None:
        merge_id, kept, merged, theirs, their_carts = self.merges.pop()
        assert self.shop.undo(merge_id) == []
        for name, value in theirs.items():
            self.books[kept][name] -= value
        self.books[merged], self.carts[merged] = theirs, their_carts
        # A cart that came with the merge goes, unless it was written to since.
        for name, cart in their_carts.items():
            if self.carts[kept].get(name) == cart:
                del self.carts[kept][name]

    @invariant()
    def equal(self) -> None:
        for who, book in self.books.items():
            profile, commerce = self.shop.of(who), self.shop.commerce(who)
            assert profile.revenue_cents == book["cents"]
            assert commerce.get("placed", 0) == book["order_placed"]
            assert commerce.get("cancelled", 0) == book["order_cancelled"]
            assert commerce.get("refunded", 0) == book["refunded"]
            sums = commerce.get("days", {}).get(str(DAY), [0, 0, 0])
            assert sums[0] == book["order_placed"]
            assert sums[2] == book["refunded"]
            carts = {name: self.shop.lines(who, name) for name in commerce.get("carts", {})}
            assert carts == {name: lines for name, (_, lines) in self.carts[who].items()}


TestHistory = History.TestCase
TestHistory.settings = settings(deadline=None, max_examples=60, stateful_step_count=25)
