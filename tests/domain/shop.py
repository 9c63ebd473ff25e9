"""A shop's workspace in memory, to which requests are applied as a worker applies them."""

from decimal import Decimal
from typing import Any, Final

from app.contract import merge_records, stored
from app.domain import times
from app.domain.apply import reduce
from app.domain.commands import Request
from app.domain.profile import EXTERNAL, Profile
from app.domain.settings import ApplySettings
from app.domain.state import State
from tests.accepting import entry

Json = dict[str, Any]
NOW: Final = 1_795_000_000_000_000
DAY: Final = NOW // times.DAY
P: Final[Json] = {"product_id": "p", "product_name": "Jacket", "variant_id": "red", "price": 10.5, "quantity": 2}
Q: Final[Json] = {"product_id": "q", "product_name": "Hat", "variant_id": "s", "price": 3, "quantity": 1}


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
