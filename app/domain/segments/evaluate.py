"""Whether a person is in a segment: the reference that the store's SQL is tested against."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from statistics import median
from typing import Any, Final

from app.domain import ecommerce, times
from app.domain.profile import (
    CHANNEL_EMAIL,
    CHANNEL_FIELDS,
    CHANNEL_PHONE,
    GLOBAL_CONTROL_GROUP,
    GROUP_FIELDS,
    HARD_BOUNCED,
    INVALID,
    NAME_EVENT,
    NAME_PRODUCT,
    NAME_SESSION,
    NAME_SESSION_END,
    OPTED_IN,
    SPAM,
    SUBSCRIBED,
    TEST_USER,
    UNSUBSCRIBED,
    Address,
    AddressState,
    Occurrence,
    Profile,
)
from app.domain.segments import versions
from app.domain.segments.clock import Clock
from app.domain.segments.compare import Comparing, Matcher, Moment, at, day_holds, holds, number_holds
from app.domain.segments.fields import FIELDS, MOST_DAYS, Kind
from app.domain.segments.model import AND, Criterion, Definition, Filter, Group
from app.domain.values import MISSING

#: Of the purchases of a window, only so many count for the money spent in it (spec segments.md 4.4).
COUNTED_PURCHASES: Final = 50
#: Of the sessions that ended, so many have a say in how long they take (spec segments.md 4.7).
COUNTED_SESSIONS: Final = 50
#: What filters of the kind X in Y days count, one by one.
KINDS: Final = {
    "x_events_in_y_days": NAME_EVENT,
    "x_sessions_in_y_days": NAME_SESSION,
    "x_purchases_in_y_days": NAME_PRODUCT,
    "x_money_spent_in_y_days": NAME_PRODUCT,
}
EARTH_KM: Final = 6371.0088
#: Of several values all have to match these, and one has to match any other operator.
NEGATIVE: Final = frozenset(("does_not_equal", "is_none_of", "contains_none_of", "does_not_match_regex", "is_blank"))


@dataclass(frozen=True, slots=True)
class Person:
    """A profile with all sections, consent of its addresses, and what happened to it and to whoever it absorbed."""

    profile: Profile
    consents: Mapping[Address, AddressState | None] = field(default_factory=dict)
    occurrences: Sequence[Occurrence] = ()

    @property
    def core(self) -> dict[str, Any]:
        return self.profile.core or {}

    @property
    def commerce(self) -> dict[str, Any]:
        return self.profile.commerce or {}

    def devices(self, kind: str) -> dict[str, Any]:
        """`devices`, `tokens` or `apps`, by their ids."""
        found: Any = (self.profile.devices or {}).get(kind)
        return found or {}


def is_in(definition: Definition, person: Person, clock: Clock, matcher: Matcher) -> bool:
    """Whether the person is in the segment. `matcher` tests patterns."""
    how = Comparing(clock, matcher)
    groups = [_group(group, person, how) for group in definition.groups if group.filters]
    if groups and not (all(groups) if definition.join == AND else any(groups)):
        return False
    if any(_group(group, person, how) for group in definition.exclude if group.filters):
        return False
    return definition.apps is None or _uses(person, definition.apps)


def matches(one: Filter, person: Person, clock: Clock, matcher: Matcher) -> bool:
    """Whether the person matches one filter."""
    return _matches(one, person, Comparing(clock, matcher))


def _group(group: Group, person: Person, how: Comparing) -> bool:
    results = (_matches(one, person, how) for one in group.filters)
    return all(results) if group.op == AND else any(results)


def _uses(person: Person, apps: tuple[str, ...]) -> bool:
    used = person.devices("apps")
    return any(name in used and used[name].get("sessions", 0) >= 1 for name in apps) if apps else not used


def _matches(one: Filter, person: Person, how: Comparing) -> bool:
    kind = FIELDS[one.field].kind
    if kind == Kind.WINDOW:
        return _window(one, person, how)
    if kind == Kind.MEMBER:
        inside = one.segment is not None and is_in(one.segment, person, how.clock, how.matcher)
        return inside is (one.op == "is_member")
    if kind == Kind.GROUP:
        wanted = SUBSCRIBED if one.op == "is_subscribed" else UNSUBSCRIBED
        return wanted in _group_states(person, one.name)
    if kind == Kind.CIRCLE:
        return _within(person, one)
    values = VALUES[one.field](person, one, how.clock) or [MISSING]
    if one.op not in ("is_blank", "is_not_blank"):
        if kind == Kind.DAY:
            return any(day_holds(how.clock, one.op, one.value, value) for value in values)
        if kind == Kind.VERSION:
            return any(versions.holds(one.op, str(one.value), value) for value in values)
    if one.op == "any_element":
        return any(_criteria(how, one.criteria, value) for value in values if value is not MISSING)
    # Inside a custom attribute any element is enough for every operator (spec segments.md 4.2).
    combined = all if one.op in NEGATIVE and kind != Kind.ANY else any
    return combined(holds(how, one.op, operand(one), value) for value in values)


def operand(one: Filter) -> Any:
    """What a filter compares with. Money that is kept in cents is compared in cents, an average exactly."""
    if isinstance(one.value, (int, float)) and not isinstance(one.value, bool):
        if FIELDS[one.field].kind == Kind.MONEY:
            return Fraction(repr(one.value)) * 100
        if one.field == "average_order_value":
            return Fraction(repr(one.value))
    return one.value


def wanted_x(one: Filter) -> Any:
    """X of "X in Y days", money in cents."""
    return Fraction(repr(one.x)) * 100 if one.field in ("x_money_spent_in_y_days", "x_revenue_in_y_days") else one.x


def _criteria(how: Comparing, criteria: Sequence[Criterion], value: object) -> bool:
    """Whether one device, element or set of properties satisfies all of them."""
    return all(any(holds(how, one.op, one.value, found) for found in at(value, one.path)) for one in criteria)


def _window(one: Filter, person: Person, how: Comparing) -> bool:
    first, last = how.clock.window(one.y)
    sent = replace(how, texts_are_times=True)
    if one.field in ("x_orders_in_y_days", "x_revenue_in_y_days"):
        sums = [value for day, value in person.commerce.get("days", {}).items() if int(day) * times.DAY >= first]
        total = sum(value[0 if one.field == "x_orders_in_y_days" else 1] for value in sums)
    else:
        kind = KINDS[one.field]
        inside = [
            occurrence
            for occurrence in person.occurrences
            if occurrence.name_kind == kind
            and (not one.name or occurrence.name == one.name)
            and first <= occurrence.time_us <= last
            and _criteria(sent, one.criteria, occurrence.properties or {})
        ]
        if kind != NAME_PRODUCT:
            total = len(inside)
        elif one.field == "x_purchases_in_y_days":
            total = sum(occurrence.quantity for occurrence in inside)
        else:
            total = sum(occurrence.cents for occurrence in _newest(inside, COUNTED_PURCHASES))
    return number_holds(one.op, wanted_x(one), total)


def _newest(occurrences: Iterable[Occurrence], most: int) -> list[Occurrence]:
    return sorted(occurrences, key=lambda o: (o.time_us, o.stream, o.seq, o.ordinal), reverse=True)[:most]


def _median_duration(person: Person, _one: Filter, clock: Clock) -> list[object]:
    """In seconds, of the last sessions, as far back as occurrences are counted."""
    first, last = clock.window(MOST_DAYS)
    ended = [o for o in person.occurrences if o.name_kind == NAME_SESSION_END and first <= o.time_us <= last]
    return [median(one.quantity for one in _newest(ended, COUNTED_SESSIONS))] if ended else []


def _group_states(person: Person, group_id: str) -> set[str]:
    found = set()
    for channel, name in ((CHANNEL_EMAIL, "email"), (CHANNEL_PHONE, "phone")):
        if name not in person.core:
            found.update(person.core.get(GROUP_FIELDS[channel], {}).get(group_id, ())[:1])
        elif (state := person.consents.get((channel, person.core[name], group_id))) is not None:
            found.add(state.state)
    return found


def _within(person: Person, one: Filter) -> bool:
    """Great circle, by the haversine formula."""
    location = person.core.get("current_location")
    longitude, latitude, kilometres = one.circle
    if not location:
        return False
    half = math.sin(math.radians(location[1] - latitude) / 2) ** 2 + math.cos(math.radians(latitude)) * math.cos(
        math.radians(location[1])
    ) * (math.sin(math.radians(location[0] - longitude) / 2) ** 2)
    return half <= math.sin(min(kilometres / EARTH_KM, math.pi) / 2) ** 2


def _email_state(person: Person) -> list[object]:
    """[state, changed_us] of the e-mail address, or of the profile while it has none; [] where nothing was recorded."""
    email = person.core.get("email")
    if email is None:
        return list(person.core.get("email_subscribe", ()))
    state = person.consents.get((CHANNEL_EMAIL, email, ""))
    return [] if state is None else [state.state, state.changed_us]


def _push_state(person: Person) -> list[object]:
    return list(person.core.get("push_subscribe", ()))


def _status(state: Callable[[Person], list[object]]) -> "Values":
    return lambda person, _one, _clock: [(state(person) or [SUBSCRIBED])[0]]


def _since(state: Callable[[Person], list[object]], wanted: str) -> "Values":
    def since(person: Person, _one: Filter, _clock: Clock) -> list[object]:
        found = state(person)
        return _moments(found[1:] if found and found[0] == wanted else [])

    return since


def _available(person: Person, _one: Filter, _clock: Clock) -> list[object]:
    state = (_email_state(person) or [SUBSCRIBED])[0]
    marks = [person.consents.get((CHANNEL_EMAIL, person.core.get("email", ""), mark)) for mark in (SPAM, HARD_BOUNCED)]
    return ["email" in person.core and state != UNSUBSCRIBED and not any(marks)]


def _marked(channel: int, mark: str, own: str = "") -> "Values":
    """When an address was marked; `own` is where a complaint lies while a profile has no address."""

    def marked(person: Person, _one: Filter, _clock: Clock) -> list[object]:
        address = person.core.get(CHANNEL_FIELDS[channel])
        if address is None:
            return _moments([person.core.get(own)])
        state = person.consents.get((channel, address, mark))
        return [] if state is None else _moments([state.changed_us])

    return marked


def _age(person: Person, _one: Filter, clock: Clock) -> list[object]:
    """In whole years; who was born on 29 February is a year older on 1 March of other years."""
    dob = person.core.get("dob")
    if dob is None:
        return []
    born, today = int(dob.replace("-", "")), clock.today
    return [max(0, today.year * 10_000 + today.month * 100 + today.day - born) // 10_000]


def _alias(person: Person, one: Filter, _clock: Clock) -> list[object]:
    aliases = person.core.get("aliases", {})
    return [aliases[one.name]] if one.name in aliases else [] if one.name else list(aliases.values())


def _custom(person: Person, one: Filter, _clock: Clock) -> list[object]:
    value = (person.profile.custom or {}).get(one.name, MISSING)
    if one.op == "any_element":
        found = at(value, one.path)
        return [element for array in found if isinstance(array, list) for element in array]
    return at(value, one.path)


def _last_product(person: Person, _one: Filter, _clock: Clock) -> list[object]:
    newest = max(((last, name) for name, (_, _, last) in (person.profile.purchases or {}).items()), default=None)
    return [] if newest is None else [newest[1]]


def _average(person: Person, _one: Filter, _clock: Clock) -> list[object]:
    orders = ecommerce.total_orders(person.commerce)
    return [Fraction(person.profile.revenue_cents, orders * 100)] if orders else []


def _carts(person: Person, clock: Clock) -> Iterable[dict[str, Any]]:
    return ecommerce.open_carts(person.commerce, clock.now_us).values()


def _apps(name: str) -> "Values":
    def of_apps(person: Person, one: Filter, _clock: Clock) -> list[object]:
        app = person.devices("apps").get(one.name)
        return [] if app is None or app.get(name) is None else [app[name]]

    return of_apps


def _used(column: str, name: str) -> "Values":
    """When any app was used, or the one that the filter names."""
    of_app = _apps(name)

    def used(person: Person, one: Filter, clock: Clock) -> list[object]:
        return _moments(of_app(person, one, clock) if one.name else [getattr(person.profile, column)])

    return used


def _of_devices(name: str) -> "Values":
    return lambda person, _one, _clock: [device.get(name, MISSING) for device in person.devices("devices").values()]


def _push_enabled(person: Person, one: Filter, _clock: Clock) -> list[object]:
    tokens = person.devices("tokens").values()
    return [any(not one.name or token.get("app") == one.name for token in tokens)]


def _moments(values: Iterable[Any]) -> list[object]:
    return [Moment(value) for value in values if value is not None]


def _column(name: str) -> "Values":
    return lambda person, _one, _clock: [getattr(person.profile, name)]


def _time(name: str) -> "Values":
    return lambda person, _one, _clock: _moments([getattr(person.profile, name)])


def _core(name: str) -> "Values":
    return lambda person, _one, _clock: [person.core.get(name)]


def _summary(section: str, member: int) -> "Values":
    """A member of the summary that the filter names: count, first, last."""

    def of_summary(person: Person, one: Filter, _clock: Clock) -> list[object]:
        found = (getattr(person.profile, section) or {}).get(one.name)
        if member == 0:
            return [0 if found is None else found[0]]
        return [] if found is None else _moments([found[member]])

    return of_summary


def _commerce(name: str, default: int | None = 0) -> "Values":
    return lambda person, _one, _clock: [person.commerce.get(name, default)]


def _flag(bit: int) -> "Values":
    return lambda person, _one, _clock: [bool(person.profile.flags & bit)]


Values = Callable[[Person, Filter, Clock], list[object]]
"""What a filter compares. One value, several of which one has to match, or none: then it is MISSING."""

VALUES: Final[dict[str, Values]] = {
    "external_id": _column("external_id"),
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
    "random_bucket_number": _column("random_bucket"),
    "created_at": _time("created_us"),
    "created_from": _column("created_from"),
    "last_modified": _time("updated_us"),
    "custom_attribute": _custom,
    "custom_event": _summary("events", 0),
    "first_did": _summary("events", 1),
    "last_did": _summary("events", 2),
    "purchased_product": lambda person, _one, _clock: list(person.profile.purchases or ()),
    "last_purchased_product": _last_product,
    "first_purchase": _time("first_purchase_us"),
    "last_purchase": _time("last_purchase_us"),
    "first_purchased": _summary("purchases", 1),
    "last_purchased": _summary("purchases", 2),
    "total_number_of_purchases": _column("purchase_count"),
    "money_spent": _column("revenue_cents"),
    "last_order_placed": lambda person, _one, _clock: _moments([person.commerce.get("last_order")]),
    "total_orders": lambda person, _one, _clock: [ecommerce.total_orders(person.commerce)],
    "cancelled_orders": _commerce("cancelled"),
    "revenue": _column("revenue_cents"),
    "refunds": _commerce("refunded"),
    "lifetime_value": _column("revenue_cents"),
    "average_order_value": _average,
    "has_open_cart": lambda person, _one, clock: [bool(list(_carts(person, clock)))],
    "cart_value": lambda person, _one, clock: [cart.get("total") for cart in _carts(person, clock)],
    "cart_updated": lambda person, _one, clock: _moments(cart["updated"] for cart in _carts(person, clock)),
    "cart_contains_product": lambda person, _one, clock: [
        line["product_id"] for cart in _carts(person, clock) for line in cart["lines"].values()
    ],
    "session_count": _column("session_count"),
    "median_session_duration": _median_duration,
    "first_used_app": _used("first_session_us", "first_used"),
    "last_used_app": _used("last_session_us", "last_used"),
    "session_count_for_app": lambda person, one, clock: _apps("sessions")(person, one, clock) or [0],
    "app_version": _apps("version"),
    "app_version_number": _apps("version"),
    "has_app": lambda person, one, _clock: [
        one.name in person.devices("apps") if one.name else bool(person.devices("apps"))
    ],
    "uninstalled": lambda person, _one, _clock: _moments([(person.profile.devices or {}).get("uninstalled_at")]),
    "device": lambda person, _one, _clock: list(person.devices("devices").values()),
    "device_count": lambda person, _one, _clock: [len(person.devices("devices"))],
    "device_model": _of_devices("model"),
    "device_os": _of_devices("os"),
    "device_carrier": _of_devices("carrier"),
    "device_locale": _of_devices("locale"),
    "browser": _of_devices("browser"),
    "push_enabled": _push_enabled,
    "location_available": lambda person, _one, _clock: [bool(person.core.get("current_location"))],
    "test_user": _flag(TEST_USER),
    "global_control_group": _flag(GLOBAL_CONTROL_GROUP),
}
