"""What recommended e-commerce events do to a profile (spec ecommerce.md 3).

The section `commerce` of a profile holds, each only where there is something:

    placed, cancelled   orders of each kind
    refunded            cents
    last_order          time of the last order placed, microseconds
    carts               {cart id: {"currency", "total", "updated", "lines": {line: {…}}}}, see `_cart`
    days                {day: [orders, cents, refunded cents]}, for "in the last N days"
    unbooked            {currency: decimal text}: revenue that had no rate when it came

Placed and cancelled orders are kept apart, so that merges add and an undo subtracts exactly. Everything is bounded: a
profile keeps MAX_CARTS carts of MAX_LINES lines, and the days of KEPT_DAYS.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from app.domain import guard, money, numbers, resolve, series, sizes, times
from app.domain.commands import BookRevenue, CountRefused, TrackEvent, TrackPurchase
from app.domain.profile import BRAZE, COMMERCE, NAME_EVENT, Profile
from app.domain.reasons import NO_USD_RATE, PROFILE_FULL, PROFILE_NOT_FOUND
from app.domain.step import Step

MAX_CARTS: Final = 50
MAX_LINES: Final = 500
#: What a cart keeps of a product. Metadata stay with the occurrence.
LINE_FIELDS: Final = ("product_id", "product_name", "variant_id", "quantity", "price", "image_url", "product_url")
CART_US: Final = 30 * times.DAY
#: Daily sums reach back that far before the acceptance, for filters of up to 730 days.
KEPT_DAYS: Final = 731
#: Currencies of which unbooked revenue is kept. There are some 300 in all.
MAX_UNBOOKED: Final = 400

PLACED: Final = "ecommerce.order_placed"
CANCELLED: Final = "ecommerce.order_cancelled"
REFUNDED: Final = "ecommerce.order_refunded"
CART: Final = "ecommerce.cart_updated"
#: Events that change more than the summary of their name.
WITH_EFFECT: Final = frozenset((PLACED, CANCELLED, REFUNDED, CART))

Commerce = dict[str, Any]


def apply(step: Step, profile: Profile, command: TrackEvent, time_us: int) -> None:
    """What the event does besides being an event. Its properties follow the schema of its name."""
    if command.name not in WITH_EFFECT:
        return
    now_us, sent = step.request.accepted_us, command.properties or {}
    commerce = step.state.section(profile, COMMERCE)
    before = dict(commerce)  # everything inside is replaced and never changed
    if command.name == CART:
        update_cart(commerce, sent, time_us, now_us)
        if not guard.has_room(profile, sizes.growth(before, commerce), step.state.settings):
            step.skip(command, PROFILE_FULL, "products")
            commerce.clear()
            commerce.update(before)
            return
    elif command.name == CANCELLED:
        commerce["cancelled"] = numbers.clamped(commerce.get("cancelled", 0) + 1)
    else:
        sign = -1 if command.name == REFUNDED else 1
        # An earlier version took amounts that no store can hold, and left them out of the properties.
        amount = sign * Decimal(repr(sent.get("total_value", 0)))
        currency = str(sent["currency"]).strip().upper()
        cents = booked(step, profile, command, "total_value", currency, amount, time_us) or 0
        before = dict(commerce)
        profile.revenue_cents = numbers.clamped(profile.revenue_cents + cents)
        series.book(step.state, series.PURCHASES, "", command.app_id, time_us, 0, cents)
        if command.name == PLACED:
            placed(commerce, cents, time_us, now_us)
        else:
            refunded(commerce, -cents, time_us, now_us)
    profile.size += sizes.growth(before, commerce)
    step.state.changed(profile, COMMERCE)


def booked(
    step: Step,
    profile: Profile,
    command: TrackEvent | TrackPurchase,
    field: str,
    currency: str,
    amount: Decimal,
    time_us: int,
) -> int | None:
    """The amount in US cents at the rate of its day. None where there is no rate: it is kept to be booked later.

    `field` is the member of the command that has the amount. The section `commerce` is needed for any other currency
    than USD.
    """
    settings, day = step.state.settings, money.day_of(time_us)
    usd = money.rate(currency, day, settings.fixed_rates, settings.rates_until, step.state.reference_rates)
    if usd is not None:
        return money.cents(amount, usd)
    step.skip(command, NO_USD_RATE, field)
    commerce = step.state.section(profile, COMMERCE)
    before = dict(commerce)
    keep_unbooked(commerce, currency, amount)
    profile.size += sizes.growth(before, commerce)
    step.state.changed(profile, COMMERCE)
    return None


def count_refused(step: Step, command: CountRefused) -> None:
    """Count refused events beside the accepted ones of the name, under what was wrong with them."""
    step.state.changes.written[NAME_EVENT, command.event, command.fault] += command.count


def book(step: Step, command: BookRevenue) -> None:
    """Count unbooked revenue at the rates of the day of the command. What still has no rate stays.

    Daily sums stay as they are, since an amount does not tell of which day it is. No write of the person's: nobody
    becomes the most recently updated profile by it.
    """
    profile = resolve.find(step.state, (BRAZE, "", command.braze_id))
    if profile is None:
        step.refuse(command, PROFILE_NOT_FOUND)
        return
    settings, day = step.state.settings, money.day_of(step.request.accepted_us)
    commerce = step.state.section(profile, COMMERCE)
    waiting: dict[str, str] = commerce.get("unbooked", {})
    left: dict[str, str] = {}
    for currency, amount in waiting.items():
        usd = money.rate(currency, day, settings.fixed_rates, settings.rates_until, step.state.reference_rates)
        if usd is None:
            left[currency] = amount
        else:
            profile.revenue_cents = numbers.clamped(profile.revenue_cents + money.cents(Decimal(amount), usd))
    if left == waiting:
        return
    before = dict(commerce)
    if left:
        commerce["unbooked"] = left
    else:
        del commerce["unbooked"]
    profile.size += sizes.growth(before, commerce)
    step.state.changed(profile, COMMERCE)


def placed(commerce: Commerce, cents: int, time_us: int, now_us: int) -> None:
    """An order was placed."""
    commerce["placed"] = numbers.clamped(commerce.get("placed", 0) + 1)
    commerce["last_order"] = max(commerce.get("last_order", time_us), time_us)
    _add_to_day(commerce, time_us, now_us, 1, cents, 0)


def refunded(commerce: Commerce, cents: int, time_us: int, now_us: int) -> None:
    """Money of an order was given back."""
    commerce["refunded"] = numbers.clamped(commerce.get("refunded", 0) + cents)
    _add_to_day(commerce, time_us, now_us, 0, 0, cents)


def keep_unbooked(commerce: Commerce, currency: str, value: Decimal) -> None:
    """Remember revenue that has no rate yet."""
    unbooked: dict[str, str] = dict(commerce.get("unbooked", {}))
    if currency in unbooked or len(unbooked) < MAX_UNBOOKED:
        unbooked[currency] = money.text(Decimal(unbooked.get(currency, "0")) + value)
    commerce["unbooked"] = {name: text for name, text in unbooked.items() if Decimal(text)}
    if not commerce["unbooked"]:
        del commerce["unbooked"]


def total_orders(commerce: Mapping[str, Any]) -> int:
    """Orders that stand: placed and not cancelled."""
    return max(0, int(commerce.get("placed", 0)) - int(commerce.get("cancelled", 0)))


def open_carts(commerce: Mapping[str, Any], now_us: int) -> dict[str, dict[str, Any]]:
    """Carts that somebody still shops with: they have lines, and their last update is not too long ago."""
    carts: dict[str, dict[str, Any]] = commerce.get("carts", {})
    return {name: cart for name, cart in carts.items() if cart["lines"] and cart["updated"] > now_us - CART_US}


def update_cart(commerce: Commerce, properties: Mapping[str, Any], time_us: int, now_us: int) -> None:
    """Replace a cart, or change lines of it. A replacement that is older than the last update changes nothing."""
    carts: dict[str, dict[str, Any]] = dict(commerce.get("carts", {}))
    name = str(properties["cart_id"])
    cart = carts.get(name)
    if cart is None or time_us >= cart["updated"] or properties.get("action") in ("add", "remove"):
        carts[name] = _cart(cart, properties, time_us)
    alive = {key: one for key, one in carts.items() if one["updated"] > now_us - CART_US}
    newest = sorted(alive, key=lambda key: (alive[key]["updated"], key), reverse=True)[:MAX_CARTS]
    commerce["carts"] = {key: alive[key] for key in alive if key in newest}
    if not commerce["carts"]:
        del commerce["carts"]


def _cart(before: Mapping[str, Any] | None, properties: Mapping[str, Any], time_us: int) -> dict[str, Any]:
    """The cart after an event: {"currency", "total" or none, "updated", "lines": {line: product with its quantity}}.

    A line is a product and its variant. One that reaches a quantity of 0 goes.
    """
    action = properties.get("action")
    lines: dict[str, Any] = {} if before is None or action not in ("add", "remove") else dict(before["lines"])
    for product in properties.get("products") or ():
        key = line_of(product)
        had = lines.pop(key, None)
        quantity = int(product["quantity"])
        if action == "add" and had is not None:
            quantity += had["quantity"]
        elif action == "remove":
            quantity = 0 if had is None else had["quantity"] - quantity
        quantity = numbers.clamped(quantity)
        if quantity > 0:
            told = had if action == "remove" and had is not None else product
            lines[key] = {name: told[name] for name in LINE_FIELDS if told.get(name) is not None} | {
                "quantity": quantity
            }
    while len(lines) > MAX_LINES:
        del lines[next(iter(lines))]
    updated = time_us if before is None else max(time_us, before["updated"])
    cart = {"currency": str(properties["currency"]).strip().upper(), "updated": updated, "lines": lines}
    total = properties.get("total_value")
    return cart if total is None else {**cart, "total": total}


def line_of(product: Mapping[str, Any]) -> str:
    """The key of a cart's line. The length keeps ("a", "b c") and ("a b", "c") apart."""
    return f"{len(product['product_id'])} {product['product_id']} {product['variant_id']}"


def _add_to_day(commerce: Commerce, time_us: int, now_us: int, orders: int, cents: int, refunded_cents: int) -> None:
    first, day = now_us // times.DAY - KEPT_DAYS, time_us // times.DAY
    days: dict[str, list[int]] = {key: sums for key, sums in commerce.get("days", {}).items() if int(key) > first}
    if day > first:
        before = days.get(str(day), [0, 0, 0])
        days[str(day)] = [
            before[0] + orders,
            numbers.clamped(before[1] + cents),
            numbers.clamped(before[2] + refunded_cents),
        ]
    if days:
        commerce["days"] = days
    else:
        commerce.pop("days", None)
