"""What each field of a filter looks at, in SQL: the twin of VALUES in app.domain.segments.evaluate."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from sqlalchemy import (
    Float,
    FromClause,
    Integer,
    Numeric,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
)

from app.domain import ecommerce
from app.domain.profile import (
    CHANNEL_EMAIL,
    CHANNEL_FIELDS,
    CHANNEL_PHONE,
    COMMERCE,
    CORE,
    DEVICES,
    EMAIL,
    EVENTS,
    GLOBAL_CONTROL_GROUP,
    GROUP_FIELDS,
    HARD_BOUNCED,
    INVALID,
    OPTED_IN,
    PHONE,
    PURCHASES,
    SPAM,
    SUBSCRIBED,
    TEST_USER,
    UNSUBSCRIBED,
)
from app.domain.segments.clock import Clock
from app.domain.segments.evaluate import EARTH_KM, operand
from app.domain.segments.model import Filter
from app.store.segments import windows
from app.store.segments.conditions import Comparer
from app.store.segments.leaves import Expression, Json, Leaf, Rows, column_leaf, flag_leaf, given, joined
from app.store.segments.scope import Scope, table


@dataclass(frozen=True, slots=True)
class Many:
    """Several values of a person, one of which has to match."""

    tables: tuple[FromClause, ...]
    leaf: Leaf
    json: Json
    where: tuple[Expression, ...] = ()

    @property
    def rows(self) -> Rows:
        return self.leaf.rows

    def exists(self, condition: Expression) -> Expression:
        """Whether there is one that satisfies the condition."""
        return exists(select(literal_column("1")).select_from(joined(self.tables)).where(*self.where, condition))


Found = Leaf | Many
Maker = Callable[[Scope, Filter, Clock], Found]


def _text(scope: Scope, name: str) -> Leaf:
    """A text of the section `core`."""
    return column_leaf(scope.rows(CORE), text=scope.entry(CORE, name).leaf(scope.rows(CORE)).text)


def _core(name: str) -> Maker:
    return lambda scope, _one, _clock: _text(scope, name)


def _number(json: Json, scope: Scope, section: int) -> Expression:
    """A number of a document, null where it is none."""
    return given(json.leaf(scope.rows(section)).number)


def _time_at(scope: Scope, section: int, json: Json) -> Leaf:
    """A time that a document keeps in microseconds."""
    return column_leaf(scope.rows(section), us=_number(json, scope, section))


def _column(name: str, what: str) -> Maker:
    """A column of the profile, as `text`, `number` or `us`."""

    def column(scope: Scope, _one: Filter, _clock: Clock) -> Leaf:
        value: Any = {what: scope.profile.c[name]}
        return column_leaf(scope.rows(), **value)

    return column


def _counted(scope: Scope, section: int, number: Expression) -> Leaf:
    """A number that everybody has: 0 where nothing is stored."""
    return Leaf(scope.rows(section), false(), number=func.coalesce(number, 0), whole=True)


def _alias(scope: Scope, one: Filter, _clock: Clock) -> Found:
    aliases = scope.entry(CORE, "aliases")
    if one.name:
        return column_leaf(scope.rows(CORE), text=aliases.member(one.name).leaf(scope.rows(CORE)).text)
    return _members(scope, CORE, aliases)


def _members(scope: Scope, section: int, json: Json, name: str = "") -> Many:
    """The members of an object, or one member of each of them."""
    rows, _, value = json.members()
    inner = value.member(name) if name else value
    return Many((rows,), inner.leaf(scope.rows(section).join(rows)), inner)


def _email_state(scope: Scope) -> tuple[Expression, Expression]:
    """(state, when it was changed); null where nothing was recorded."""
    email = given(_text(scope, "email").text)
    consent = scope.topic(CHANNEL_EMAIL, email, "")
    own = scope.entry(CORE, "email_subscribe")
    there = email.is_not(None)
    state = case((there, consent.c.state), else_=own.item(0).leaf(scope.rows(CORE)).text)
    changed = case((there, consent.c.changed_us), else_=_number(own.item(1), scope, CORE))
    return state, changed


def _push_state(scope: Scope) -> tuple[Expression, Expression]:
    own = scope.entry(CORE, "push_subscribe")
    return given(own.item(0).leaf(scope.rows(CORE)).text), _number(own.item(1), scope, CORE)


State = Callable[[Scope], tuple[Expression, Expression]]


def _status(of: State) -> Maker:
    def status(scope: Scope, _one: Filter, _clock: Clock) -> Leaf:
        state = func.coalesce(of(scope)[0], SUBSCRIBED)
        # The different states are asked for of everybody in the scope, since they are no column of one table.
        return Leaf(Rows(lambda: (scope.joined,), tuple(scope.conditions)), false(), text=state)

    return status


def _since(of: State, wanted: str) -> Maker:
    def since(scope: Scope, _one: Filter, _clock: Clock) -> Leaf:
        state, changed = of(scope)
        return column_leaf(scope.rows(CORE), us=case((state == wanted, changed)))

    return since


def _available(scope: Scope, _one: Filter, _clock: Clock) -> Leaf:
    email = given(_text(scope, "email").text)
    marks = [scope.topic(CHANNEL_EMAIL, email, mark).c.state.is_(None) for mark in (SPAM, HARD_BOUNCED)]
    state = func.coalesce(_email_state(scope)[0], SUBSCRIBED)
    return flag_leaf(scope.rows(CORE), and_(email.is_not(None), state != UNSUBSCRIBED, *marks))


def _marked(channel: int, mark: str, own: str = "") -> Maker:
    """When an address was marked; `own` is where a complaint lies while a profile has no address."""

    def marked(scope: Scope, _one: Filter, _clock: Clock) -> Leaf:
        address = given(_text(scope, CHANNEL_FIELDS[channel]).text)
        changed = scope.topic(channel, address, mark).c.changed_us
        if own:
            changed = case((address.is_not(None), changed), else_=_number(scope.entry(CORE, own), scope, CORE))
        return column_leaf(scope.rows(CORE), us=changed)

    return marked


def _age(scope: Scope, _one: Filter, clock: Clock) -> Leaf:
    today = clock.today
    number = today.year * 10_000 + today.month * 100 + today.day
    text = given(_text(scope, "dob").text)
    born = cast(func.replace(text, "-", ""), Integer)
    years = case(
        (born > number, 0), else_=cast(literal(number, Integer) - born, Integer).op("/")(literal_column("10000"))
    )
    return column_leaf(scope.rows(CORE), number=case((born.is_not(None), years)))


def _summary(section: int, member: int) -> Maker:
    """A member of the summary that the filter names: count, first, last."""

    def summary(scope: Scope, one: Filter, _clock: Clock) -> Leaf:
        json = scope.entry(section, one.name).item(member)
        if member == 0:
            return _counted(scope, section, _number(json, scope, section))
        return _time_at(scope, section, json)

    return summary


def _products(scope: Scope, _one: Filter, _clock: Clock) -> Many:
    rows, key, json = scope.document(PURCHASES).members()
    return Many((rows,), column_leaf(scope.rows(PURCHASES).join(rows), text=key), json)


def _last_product(scope: Scope, _one: Filter, _clock: Clock) -> Leaf:
    rows, key, json = scope.document(PURCHASES).members()
    name = key.collate("C") if scope.postgresql else key
    newest = select(key).select_from(rows).order_by(json.item(2).integer.desc(), name.desc()).limit(1)
    return column_leaf(scope.rows(PURCHASES), text=newest.scalar_subquery())


def _commerce(name: str) -> Maker:
    return lambda scope, _one, _clock: _counted(scope, COMMERCE, _number(scope.entry(COMMERCE, name), scope, COMMERCE))


def _orders(scope: Scope) -> Expression:
    placed, cancelled = (
        func.coalesce(_number(scope.entry(COMMERCE, name), scope, COMMERCE), 0) for name in ("placed", "cancelled")
    )
    return case((placed > cancelled, placed - cancelled), else_=0)


def average(scope: Scope, comparer: Comparer, one: Filter) -> Expression:
    """Revenue by orders, compared without dividing; nobody without orders has one."""
    orders = _orders(scope)
    if one.op in ("is_blank", "is_not_blank"):
        return orders == 0 if one.op == "is_blank" else orders > 0
    wanted: Fraction = operand(one) * 100
    revenue: Expression = scope.profile.c.revenue_cents
    if scope.postgresql:
        revenue, orders = cast(revenue, Numeric), cast(orders, Numeric)
    # revenue / orders compared with p / q is revenue * q compared with p * orders.
    difference = revenue * comparer.bound(wanted.denominator) - comparer.bound(wanted.numerator) * orders
    number = column_leaf(scope.rows(), number=case((orders > 0, difference)))
    if one.op == "does_not_equal":
        return comparer.condition("does_not_equal", 0, number)
    condition = comparer.compared(one.op, 0, number)
    return or_(orders == 0, condition) if one.op == "less_than" or (one.op == "exactly" and wanted == 0) else condition


def _carts(scope: Scope, clock: Clock) -> tuple[FromClause, Json, Expression]:
    """(carts, one of them, whether somebody still shops with it)."""
    rows, _, cart = scope.entry(COMMERCE, "carts").members()
    lines, _, _ = cart.member("lines").members()
    alive = _number(cart.member("updated"), scope, COMMERCE) > clock.now_us - ecommerce.CART_US
    return rows, cart, and_(alive, exists(select(literal_column("1")).select_from(lines)))


def _open_cart(scope: Scope, _one: Filter, clock: Clock) -> Leaf:
    rows, _, is_open = _carts(scope, clock)
    return flag_leaf(scope.rows(COMMERCE), exists(select(literal_column("1")).select_from(rows).where(is_open)))


def _cart(name: str) -> Maker:
    def of_carts(scope: Scope, _one: Filter, clock: Clock) -> Many:
        rows, cart, is_open = _carts(scope, clock)
        json = cart.member(name)
        inner = scope.rows(COMMERCE).join(rows)
        leaf = column_leaf(inner, us=_number(json, scope, COMMERCE)) if name == "updated" else json.leaf(inner)
        return Many((rows,), leaf, json, (is_open,))

    return of_carts


def _cart_products(scope: Scope, _one: Filter, clock: Clock) -> Many:
    rows, cart, is_open = _carts(scope, clock)
    lines, _, line = cart.member("lines").members()
    json = line.member("product_id")
    return Many((rows, lines), json.leaf(scope.rows(COMMERCE).join(rows).join(lines)), json, (is_open,))


def _apps(scope: Scope) -> Json:
    return scope.entry(DEVICES, "apps")


def _app(name: str) -> Maker:
    def of_app(scope: Scope, one: Filter, _clock: Clock) -> Leaf:
        json = _apps(scope).member(one.name).member(name)
        if name == "sessions":
            return _counted(scope, DEVICES, _number(json, scope, DEVICES))
        if name == "version":
            return column_leaf(scope.rows(DEVICES), text=json.leaf(scope.rows(DEVICES)).text)
        return _time_at(scope, DEVICES, json)

    return of_app


def _used(column: str, name: str) -> Maker:
    any_app, one_app = _column(column, "us"), _app(name)
    return lambda scope, one, clock: (one_app if one.name else any_app)(scope, one, clock)


def _has_app(scope: Scope, one: Filter, _clock: Clock) -> Leaf:
    if one.name:
        condition = ~_apps(scope).member(one.name).leaf(scope.rows(DEVICES)).missing
    else:
        rows, _, _ = _apps(scope).members()
        condition = exists(select(literal_column("1")).select_from(rows))
    return flag_leaf(scope.rows(DEVICES), condition)


def uses(scope: Scope, apps: tuple[str, ...]) -> Expression:
    """Whether somebody had a session in one of the apps; for none, whether they have no app at all."""
    if not apps:
        rows, _, _ = _apps(scope).members()
        return ~exists(select(literal_column("1")).select_from(rows))
    sessions = (_number(_apps(scope).member(name).member("sessions"), scope, DEVICES) for name in apps)
    return or_(*(number >= 1 for number in sessions))


def _devices(name: str) -> Maker:
    return lambda scope, _one, _clock: _members(scope, DEVICES, scope.entry(DEVICES, "devices"), name)


def _device_count(scope: Scope, _one: Filter, _clock: Clock) -> Leaf:
    rows, _, _ = scope.entry(DEVICES, "devices").members()
    counted = select(func.count()).select_from(rows).scalar_subquery()
    return _counted(scope, DEVICES, counted)


def _push_enabled(scope: Scope, one: Filter, _clock: Clock) -> Leaf:
    rows, _, token = scope.entry(DEVICES, "tokens").members()
    app = given(token.member("app").leaf(scope.rows(DEVICES)).text)
    wanted = app == one.name if one.name else true()
    return flag_leaf(scope.rows(DEVICES), exists(select(literal_column("1")).select_from(rows).where(wanted)))


def _coordinates(scope: Scope) -> tuple[Expression, Expression]:
    location = scope.entry(CORE, "current_location")
    longitude, latitude = (cast(_number(location.item(n), scope, CORE), Float) for n in (0, 1))
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


def group_state(scope: Scope, one: Filter) -> Expression:
    """Whether the state in a subscription group is recorded: for the e-mail address or phone number, or for the person
    who has none."""
    wanted = SUBSCRIBED if one.op == "is_subscribed" else UNSUBSCRIBED
    state = table("address_state").alias()
    holder = table("identifier").alias()
    holders = (
        select(holder.c.pid)
        .join(
            state,
            and_(
                state.c.workspace_id == holder.c.workspace_id,
                state.c.address == holder.c.value,
                holder.c.kind == case((state.c.channel == CHANNEL_EMAIL, EMAIL), else_=PHONE),
            ),
        )
        .where(
            holder.c.workspace_id == scope.workspace_id,
            holder.c.label == "",
            state.c.group_id == one.name,
            state.c.state == wanted,
        )
    )
    said = [
        func.coalesce(scope.entry(CORE, field).member(one.name).item(0).leaf(scope.rows(CORE)).text == wanted, false())
        for field in GROUP_FIELDS.values()
    ]
    return or_(scope.profile.c.pid.in_(holders), *said)


def _flag(bit: int) -> Maker:
    return lambda scope, _one, _clock: flag_leaf(scope.rows(), scope.profile.c.flags.op("&")(bit) != 0)


def _core_time(name: str) -> Maker:
    return lambda scope, _one, _clock: _time_at(scope, CORE, scope.entry(CORE, name))


LEAVES: Final[dict[str, Maker]] = {
    "external_id": _column("external_id", "text"),
    "user_alias": _alias,
    "email_address": _core("email"),
    "email_available": _available,
    "phone_number": _core("phone"),
    "unformatted_phone_number": _core("phone_raw"),
    "has_marked_as_spam": _marked(CHANNEL_EMAIL, SPAM, own="marked_email_as_spam_at"),
    "hard_bounced": _marked(CHANNEL_EMAIL, HARD_BOUNCED),
    "invalid_phone": _marked(CHANNEL_PHONE, INVALID),
    "email_subscription_status": _status(_email_state),
    "push_subscription_status": _status(_push_state),
    "email_opt_in_date": _since(_email_state, OPTED_IN),
    "email_unsubscribe_date": _since(_email_state, UNSUBSCRIBED),
    "push_opt_in_date": _since(_push_state, OPTED_IN),
    "push_unsubscribe_date": _since(_push_state, UNSUBSCRIBED),
    "first_name": _core("first_name"),
    "last_name": _core("last_name"),
    "gender": _core("gender"),
    "language": _core("language"),
    "country": _core("country"),
    "city": _core("home_city"),
    "time_zone": _core("time_zone"),
    "age": _age,
    "birthday": _core("dob"),
    "random_bucket_number": _column("random_bucket", "number"),
    "created_at": _column("created_us", "us"),
    "created_from": _column("created_from", "text"),
    "last_modified": _column("updated_us", "us"),
    "custom_event": _summary(EVENTS, 0),
    "first_did": _summary(EVENTS, 1),
    "last_did": _summary(EVENTS, 2),
    "purchased_product": _products,
    "last_purchased_product": _last_product,
    "first_purchase": _column("first_purchase_us", "us"),
    "last_purchase": _column("last_purchase_us", "us"),
    "first_purchased": _summary(PURCHASES, 1),
    "last_purchased": _summary(PURCHASES, 2),
    "total_number_of_purchases": _column("purchase_count", "number"),
    "money_spent": _column("revenue_cents", "number"),
    "last_order_placed": lambda scope, _one, _clock: _time_at(scope, COMMERCE, scope.entry(COMMERCE, "last_order")),
    "total_orders": lambda scope, _one, _clock: _counted(scope, COMMERCE, _orders(scope)),
    "cancelled_orders": _commerce("cancelled"),
    "revenue": _column("revenue_cents", "number"),
    "refunds": _commerce("refunded"),
    "lifetime_value": _column("revenue_cents", "number"),
    "has_open_cart": _open_cart,
    "cart_value": _cart("total"),
    "cart_updated": _cart("updated"),
    "cart_contains_product": _cart_products,
    "session_count": _column("session_count", "number"),
    "median_session_duration": windows.median_duration,
    "first_used_app": _used("first_session_us", "first_used"),
    "last_used_app": _used("last_session_us", "last_used"),
    "session_count_for_app": _app("sessions"),
    "app_version": _app("version"),
    "app_version_number": _app("version"),
    "has_app": _has_app,
    "uninstalled": lambda scope, _one, _clock: _time_at(scope, DEVICES, scope.entry(DEVICES, "uninstalled_at")),
    "device": _devices(""),
    "device_count": _device_count,
    "device_model": _devices("model"),
    "device_os": _devices("os"),
    "device_carrier": _devices("carrier"),
    "device_locale": _devices("locale"),
    "browser": _devices("browser"),
    "push_enabled": _push_enabled,
    "location_available": _located,
    "test_user": _flag(TEST_USER),
    "global_control_group": _flag(GLOBAL_CONTROL_GROUP),
}
