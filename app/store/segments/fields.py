"""What each field of a filter looks at, in SQL: the twin of VALUES in app.domain.segments.evaluate."""

import math
from typing import Final

from sqlalchemy import Float, Integer, case, cast, func, literal, literal_column

from app.domain.profile import (
    CHANNEL_EMAIL,
    CHANNEL_PHONE,
    COMMERCE,
    CORE,
    DEVICES,
    EVENTS,
    GLOBAL_CONTROL_GROUP,
    HARD_BOUNCED,
    INVALID,
    OPTED_IN,
    PURCHASES,
    SPAM,
    TEST_USER,
    UNSUBSCRIBED,
)
from app.domain.segments.clock import Clock
from app.domain.segments.evaluate import EARTH_KM
from app.domain.segments.model import Filter
from app.store.segments import windows
from app.store.segments.consents import available, email_state, marked, push_state, since, status
from app.store.segments.devices import app, device_count, has_app, of_devices, push_enabled, used
from app.store.segments.leaves import Expression, Leaf, column_leaf, flag_leaf, given
from app.store.segments.makers import (
    Found,
    Maker,
    column,
    core,
    counted,
    flag,
    members,
    number_of,
    summary,
    text_of,
    time_at,
)
from app.store.segments.orders import cart, cart_products, commerce, last_product, open_cart, orders_placed, products
from app.store.segments.scope import Scope


def _alias(scope: Scope, one: Filter, _clock: Clock) -> Found:
    aliases = scope.entry(CORE, "aliases")
    if one.name:
        return column_leaf(scope.rows(CORE), text=aliases.member(one.name).leaf(scope.rows(CORE)).text)
    return members(scope, CORE, aliases)


def _age(scope: Scope, _one: Filter, clock: Clock) -> Leaf:
    today = clock.today
    number = today.year * 10_000 + today.month * 100 + today.day
    text = given(text_of(scope, "dob").text)
    born = cast(func.replace(text, "-", ""), Integer)
    years = case(
        (born > number, 0), else_=cast(literal(number, Integer) - born, Integer).op("/")(literal_column("10000"))
    )
    return column_leaf(scope.rows(CORE), number=case((born.is_not(None), years)))


def _coordinates(scope: Scope) -> tuple[Expression, Expression]:
    location = scope.entry(CORE, "current_location")
    longitude, latitude = (cast(number_of(location.item(n), scope, CORE), Float) for n in (0, 1))
    return longitude, latitude


def _located(scope: Scope, _one: Filter, _clock: Clock) -> Leaf:
    return flag_leaf(scope.rows(CORE), _coordinates(scope)[0].is_not(None))


def within(scope: Scope, one: Filter) -> Expression:
    """Great circle, by the haversine formula."""
    longitude, latitude, kilometres = one.circle
    east, north = _coordinates(scope)

    def squared(degrees: Expression) -> Expression:
        half = func.sin(func.radians(degrees) / 2.0)
        return half * half

    cosines = math.cos(math.radians(latitude)) * func.cos(func.radians(north))
    half = squared(north - latitude) + cosines * squared(east - longitude)
    return half <= math.sin(min(kilometres / EARTH_KM, math.pi) / 2) ** 2


#: What looks at the profile's own row, its addresses or occurrences. Everything else needs one section alone.
WIDER: Final = frozenset(
    (
        *("external_id", "random_bucket_number", "created_at", "created_from", "last_modified", "test_user"),
        *("global_control_group", "first_purchase", "last_purchase", "total_number_of_purchases", "money_spent"),
        *("revenue", "lifetime_value", "average_order_value", "session_count", "email_available", "invalid_phone"),
        *("email_subscription_status", "push_subscription_status", "has_marked_as_spam", "hard_bounced"),
        *("email_opt_in_date", "email_unsubscribe_date", "median_session_duration"),
    )
)
LEAVES: Final[dict[str, Maker]] = {
    "external_id": column("external_id", "text"),
    "user_alias": _alias,
    "email_address": core("email"),
    "email_available": available,
    "phone_number": core("phone"),
    "unformatted_phone_number": core("phone_raw"),
    "has_marked_as_spam": marked(CHANNEL_EMAIL, SPAM, own="marked_email_as_spam_at"),
    "hard_bounced": marked(CHANNEL_EMAIL, HARD_BOUNCED),
    "invalid_phone": marked(CHANNEL_PHONE, INVALID),
    "email_subscription_status": status(email_state),
    "push_subscription_status": status(push_state),
    "email_opt_in_date": since(email_state, OPTED_IN),
    "email_unsubscribe_date": since(email_state, UNSUBSCRIBED),
    "push_opt_in_date": since(push_state, OPTED_IN),
    "push_unsubscribe_date": since(push_state, UNSUBSCRIBED),
    "first_name": core("first_name"),
    "last_name": core("last_name"),
    "gender": core("gender"),
    "language": core("language"),
    "country": core("country"),
    "city": core("home_city"),
    "time_zone": core("time_zone"),
    "age": _age,
    "birthday": core("dob"),
    "random_bucket_number": column("random_bucket", "number"),
    "created_at": column("created_us", "us"),
    "created_from": column("created_from", "text"),
    "last_modified": column("updated_us", "us"),
    "custom_event": summary(EVENTS, 0),
    "first_did": summary(EVENTS, 1),
    "last_did": summary(EVENTS, 2),
    "purchased_product": products,
    "last_purchased_product": last_product,
    "first_purchase": column("first_purchase_us", "us"),
    "last_purchase": column("last_purchase_us", "us"),
    "first_purchased": summary(PURCHASES, 1),
    "last_purchased": summary(PURCHASES, 2),
    "total_number_of_purchases": column("purchase_count", "number"),
    "money_spent": column("revenue_cents", "number"),
    "last_order_placed": lambda scope, _one, _clock: time_at(scope, COMMERCE, scope.entry(COMMERCE, "last_order")),
    "total_orders": lambda scope, _one, _clock: counted(scope, COMMERCE, orders_placed(scope)),
    "cancelled_orders": commerce("cancelled"),
    "revenue": column("revenue_cents", "number"),
    "refunds": commerce("refunded"),
    "lifetime_value": column("revenue_cents", "number"),
    "has_open_cart": open_cart,
    "cart_value": cart("total"),
    "cart_updated": cart("updated"),
    "cart_contains_product": cart_products,
    "session_count": column("session_count", "number"),
    "median_session_duration": windows.median_duration,
    "first_used_app": used("first_session_us", "first_used"),
    "last_used_app": used("last_session_us", "last_used"),
    "session_count_for_app": app("sessions"),
    "app_version": app("version"),
    "app_version_number": app("version"),
    "has_app": has_app,
    "uninstalled": lambda scope, _one, _clock: time_at(scope, DEVICES, scope.entry(DEVICES, "uninstalled_at")),
    "device": of_devices(""),
    "device_count": device_count,
    "device_model": of_devices("model"),
    "device_os": of_devices("os"),
    "device_carrier": of_devices("carrier"),
    "device_locale": of_devices("locale"),
    "browser": of_devices("browser"),
    "push_enabled": push_enabled,
    "location_available": _located,
    "test_user": flag(TEST_USER),
    "global_control_group": flag(GLOBAL_CONTROL_GROUP),
}
