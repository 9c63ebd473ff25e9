"""Revenue, orders, refunds and carts after any history, against plain books (spec ecommerce.md 3, DECISIONS D69)."""

from collections import defaultdict
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.domain import times
from app.domain.commands import BookRevenue, ChangeSettings
from tests.domain.shop import DAY, NOW, P, Shop


class History(RuleBasedStateMachine):
    """Any history of events, purchases, rates, bookings, merges and undo.

    It is compared with books of each person, which know nothing of profiles.

    A person is who the events were sent about. Merged people are one; an undo makes them two again, and what was sent
    in between stays with the kept one. Francs have no rate at first. What was booked for both between a merge and its
    undo stays with the kept one, who then owes the other's part, so that after another booking all is where it belongs.
    """

    people = st.sampled_from(["a", "b", "c"])

    def __init__(self) -> None:
        super().__init__()
        self.shop = Shop()
        #: What each profile has, by the external id that it was made with.
        self.books: dict[str, defaultdict[str, int]] = {}
        self.carts: dict[str, dict[str, tuple[int, dict[str, int]]]] = {}
        #: Cents for a franc, None while it has no rate.
        self.franc: int | None = None
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

    @rule(who=people, name=st.sampled_from(["order_placed", "order_refunded"]), francs=st.integers(0, 99))
    def order_in_francs(self, who: str, name: str, francs: int) -> None:
        book = self._book(who)
        sign = 1 if name == "order_placed" else -1
        problems = self.shop.order(who, name, francs, currency="FRF")
        assert problems == ([] if self.franc else [("total_value", "no_usd_rate")])
        book[name] += 1
        if self.franc is None:
            book["francs"] += sign * francs
        else:
            book["cents"] += sign * francs * self.franc
            book["refunded"] += francs * self.franc if sign < 0 else 0

    @rule(who=people, francs=st.integers(-5, 99))
    def purchase_in_francs(self, who: str, francs: int) -> None:
        book = self._book(who)
        sent = {"external_id": who, "product_id": "x", "currency": "FRF", "price": francs, "time": times.iso(NOW)}
        self.shop.do("/users/track", {"purchases": [sent]})
        book["francs" if self.franc is None else "cents"] += francs * (self.franc or 1)

    @rule(franc=st.sampled_from([None, 17, 20]))
    def fix_rate(self, franc: int | None) -> None:
        self.franc = franc
        text = None if franc is None else f"0.{franc}"
        assert self.shop.apply([ChangeSettings(0, {"fixed_rates": {"FRF": [[0, text]]}})]) == []

    @precondition(lambda self: self.books)
    @rule(data=st.data())
    def book_revenue(self, data: st.DataObject) -> None:
        some = data.draw(st.lists(st.sampled_from(sorted(self.books)), min_size=1, unique=True))
        assert self.shop.apply([BookRevenue(n, self.shop.of(who).braze_id) for n, who in enumerate(some)]) == []
        for who in some if self.franc else ():
            self.books[who]["cents"] += self.books[who].pop("francs", 0) * (self.franc or 0)

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
            unbooked = commerce.get("unbooked", {})
            assert Decimal(unbooked.get("FRF", 0)) == book["francs"]
            assert unbooked.keys() <= {"FRF"}
            assert commerce.get("placed", 0) == book["order_placed"]
            assert commerce.get("cancelled", 0) == book["order_cancelled"]
            assert commerce.get("refunded", 0) == book["refunded"]
            sums = commerce.get("days", {}).get(str(DAY), [0, 0, 0])
            assert sums[0] == book["order_placed"]
            assert sums[2] == book["refunded"]
            carts = {name: self.shop.lines(who, name) for name in commerce.get("carts", {})}
            assert carts == {name: lines for name, (_, lines) in self.carts[who].items()}


TestHistory = History.TestCase
TestHistory.settings = settings(deadline=None, max_examples=100, stateful_step_count=30)
