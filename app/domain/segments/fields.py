"""Which filters there are: fields with their kinds, and the operators of each kind.

The names are those of the contract (spec segments.md 4, ecommerce.md 5) in snake_case. This table is what
`GET /v1/segments/schema` shows, what a definition is checked against, and what both evaluations have a row for.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a field compares."""

    TEXT = "text"
    NUMBER = "number"
    #: A number that everybody has: 0 where nothing happened.
    COUNT = "count"
    #: US dollars, that everybody has.
    MONEY = "money"
    BOOLEAN = "boolean"
    TIME = "time"
    #: A day of birth.
    DAY = "day"
    #: Numbers between dots, compared one by one.
    VERSION = "version"
    #: What a custom attribute holds decides.
    ANY = "any"
    #: Several comparisons of one device or element.
    SAME = "same"
    #: X in Y days.
    WINDOW = "window"
    MEMBER = "member"
    GROUP = "group"
    CIRCLE = "circle"


class Operand(StrEnum):
    """What `value` is."""

    NONE = "none"
    TEXT = "text"
    NUMBER = "number"
    TEXT_OR_NUMBER = "text or number"
    SCALAR = "text, number or boolean"
    TEXTS = "array of texts"
    SCALARS = "array of texts, numbers or booleans"
    PATTERN = "regular expression (RE2)"
    DATE = "date or time"
    DAYS = "days, in quarters"
    HOURS = "hours"
    RECURRING = "MM-DD, or days from today"


#: Operator -> what its `value` is.
OPERANDS: Final[dict[str, Operand]] = {
    "is_blank": Operand.NONE,
    "is_not_blank": Operand.NONE,
    "is_true": Operand.NONE,
    "is_false": Operand.NONE,
    "is_true_or_not_set": Operand.NONE,
    "is_false_or_not_set": Operand.NONE,
    "exactly": Operand.NUMBER,
    "more_than": Operand.NUMBER,
    "at_least": Operand.NUMBER,
    "less_than": Operand.NUMBER,
    "equals": Operand.TEXT,
    "does_not_equal": Operand.TEXT_OR_NUMBER,
    "matches_regex": Operand.PATTERN,
    "does_not_match_regex": Operand.PATTERN,
    "is_any_of": Operand.TEXTS,
    "is_none_of": Operand.TEXTS,
    "contains_any_of": Operand.TEXTS,
    "contains_none_of": Operand.TEXTS,
    "includes_value": Operand.SCALAR,
    "does_not_include": Operand.SCALAR,
    "includes_any_of": Operand.SCALARS,
    "includes_none_of": Operand.SCALARS,
    "values_contain_any": Operand.TEXTS,
    "values_contain_none": Operand.TEXTS,
    "is_all_of": Operand.SCALARS,
    "is_not_all_of": Operand.SCALARS,
    "has_a_value": Operand.NONE,
    "is_empty": Operand.NONE,
    "before": Operand.DATE,
    "after": Operand.DATE,
    "more_than_x_days_ago": Operand.DAYS,
    "less_than_x_days_ago": Operand.DAYS,
    "in_more_than_x_days_in_the_future": Operand.DAYS,
    "in_less_than_x_days_in_the_future": Operand.DAYS,
    "more_than_x_hours_ago": Operand.HOURS,
    "less_than_x_hours_ago": Operand.HOURS,
    "day_of_recurring_event": Operand.RECURRING,
    "any_element": Operand.NONE,
    "is_member": Operand.NONE,
    "is_not_member": Operand.NONE,
    "is_subscribed": Operand.NONE,
    "is_unsubscribed": Operand.NONE,
    "within": Operand.NONE,
}

_BLANK: Final = ("is_blank", "is_not_blank")
_TEXT: Final = (
    *("equals", "does_not_equal", "matches_regex", "does_not_match_regex", "is_any_of", "is_none_of"),
    *("contains_any_of", "contains_none_of"),
)
_COUNT: Final = ("exactly", "does_not_equal", "more_than", "at_least", "less_than")
_BOOLEAN: Final = ("is_true", "is_false", "is_true_or_not_set", "is_false_or_not_set")
_ARRAY: Final = (
    *("includes_value", "does_not_include", "includes_any_of", "includes_none_of", "values_contain_any"),
    *("values_contain_none", "is_all_of", "is_not_all_of", "has_a_value", "is_empty"),
)
_MOMENT: Final = (
    *("before", "after", "more_than_x_days_ago", "less_than_x_days_ago", "more_than_x_hours_ago"),
    *("less_than_x_hours_ago", "in_more_than_x_days_in_the_future", "in_less_than_x_days_in_the_future"),
)

OPERATORS: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.TEXT: (*_TEXT, *_BLANK),
    Kind.NUMBER: (*_COUNT, *_BLANK),
    Kind.COUNT: _COUNT,
    Kind.MONEY: _COUNT,
    Kind.BOOLEAN: ("is_true", "is_false"),
    Kind.TIME: (*_MOMENT, *_BLANK),
    Kind.DAY: (*_MOMENT, "day_of_recurring_event", *_BLANK),
    Kind.VERSION: (*_COUNT, *_BLANK),
    Kind.ANY: tuple(
        dict.fromkeys((*_BOOLEAN, *_COUNT, *_TEXT, *_ARRAY, *_MOMENT, "day_of_recurring_event", *_BLANK, "any_element"))
    ),
    Kind.SAME: ("any_element",),
    Kind.WINDOW: ("more_than", "less_than", "exactly", "at_least"),
    Kind.MEMBER: ("is_member", "is_not_member"),
    Kind.GROUP: ("is_subscribed", "is_unsubscribed"),
    Kind.CIRCLE: ("within",),
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of filters. `name`: whether filters name what it is about: True = always, None = they may."""

    kind: Kind
    name: bool | None = False
    #: Largest Y of "X in Y days".
    most_days: int = 0
    #: Whether a criterion on properties may stand in it.
    properties: bool = False
    #: Whether case always counts.
    exact: bool = False


#: Y of X-in-Y filters, and X where it counts.
MOST_DAYS: Final = 30
MOST_TIMES: Final = 50
#: Fields of no window that are counted from what is kept one by one.
SINGLY: Final = ("median_session_duration",)
#: Y of filters over daily sums of orders.
MOST_ORDER_DAYS: Final = 730

FIELDS: Final[dict[str, Field]] = {
    # Identity and contact
    "external_id": Field(Kind.TEXT, exact=True),
    "user_alias": Field(Kind.TEXT, name=None, exact=True),
    "email_address": Field(Kind.TEXT),
    "email_available": Field(Kind.BOOLEAN),
    "phone_number": Field(Kind.TEXT),
    "unformatted_phone_number": Field(Kind.TEXT),
    "has_marked_as_spam": Field(Kind.TIME),
    "hard_bounced": Field(Kind.TIME),
    "invalid_phone": Field(Kind.TIME),
    "email_subscription_status": Field(Kind.TEXT),
    "push_subscription_status": Field(Kind.TEXT),
    "email_opt_in_date": Field(Kind.TIME),
    "email_unsubscribe_date": Field(Kind.TIME),
    "push_opt_in_date": Field(Kind.TIME),
    "push_unsubscribe_date": Field(Kind.TIME),
    "subscription_group": Field(Kind.GROUP, name=True),
    "first_name": Field(Kind.TEXT),
    "last_name": Field(Kind.TEXT),
    "gender": Field(Kind.TEXT),
    "language": Field(Kind.TEXT),
    "country": Field(Kind.TEXT),
    "city": Field(Kind.TEXT),
    "time_zone": Field(Kind.TEXT),
    "age": Field(Kind.NUMBER),
    "birthday": Field(Kind.DAY),
    "random_bucket_number": Field(Kind.COUNT),
    "created_at": Field(Kind.TIME),
    "created_from": Field(Kind.TEXT),
    "last_modified": Field(Kind.TIME),
    # Custom attributes and events
    "custom_attribute": Field(Kind.ANY, name=True),
    "custom_event": Field(Kind.COUNT, name=True),
    "first_did": Field(Kind.TIME, name=True),
    "last_did": Field(Kind.TIME, name=True),
    "x_events_in_y_days": Field(Kind.WINDOW, name=True, most_days=MOST_DAYS, properties=True),
    # Purchases
    "purchased_product": Field(Kind.TEXT),
    "last_purchased_product": Field(Kind.TEXT),
    "first_purchase": Field(Kind.TIME),
    "last_purchase": Field(Kind.TIME),
    "first_purchased": Field(Kind.TIME, name=True),
    "last_purchased": Field(Kind.TIME, name=True),
    "total_number_of_purchases": Field(Kind.COUNT),
    "money_spent": Field(Kind.MONEY),
    "x_purchases_in_y_days": Field(Kind.WINDOW, name=None, most_days=MOST_DAYS, properties=True),
    "x_money_spent_in_y_days": Field(Kind.WINDOW, most_days=MOST_DAYS),
    # Orders and carts
    "last_order_placed": Field(Kind.TIME),
    "total_orders": Field(Kind.COUNT),
    "cancelled_orders": Field(Kind.COUNT),
    "revenue": Field(Kind.MONEY),
    "refunds": Field(Kind.MONEY),
    "lifetime_value": Field(Kind.MONEY),
    "average_order_value": Field(Kind.NUMBER),
    "x_orders_in_y_days": Field(Kind.WINDOW, most_days=MOST_ORDER_DAYS),
    "x_revenue_in_y_days": Field(Kind.WINDOW, most_days=MOST_ORDER_DAYS),
    "has_open_cart": Field(Kind.BOOLEAN),
    "cart_value": Field(Kind.NUMBER),
    "cart_updated": Field(Kind.TIME),
    "cart_contains_product": Field(Kind.TEXT),
    # Sessions, apps and devices
    "session_count": Field(Kind.COUNT),
    "x_sessions_in_y_days": Field(Kind.WINDOW, most_days=MOST_DAYS),
    "median_session_duration": Field(Kind.NUMBER),
    "first_used_app": Field(Kind.TIME, name=None),
    "last_used_app": Field(Kind.TIME, name=None),
    "session_count_for_app": Field(Kind.COUNT, name=True),
    "app_version": Field(Kind.TEXT, name=True),
    "app_version_number": Field(Kind.VERSION, name=True),
    "has_app": Field(Kind.BOOLEAN, name=None),
    "uninstalled": Field(Kind.TIME),
    "device": Field(Kind.SAME),
    "device_count": Field(Kind.COUNT),
    "device_model": Field(Kind.TEXT),
    "device_os": Field(Kind.TEXT),
    "device_carrier": Field(Kind.TEXT),
    "device_locale": Field(Kind.TEXT),
    "browser": Field(Kind.TEXT),
    "push_enabled": Field(Kind.BOOLEAN, name=None),
    "location_available": Field(Kind.BOOLEAN),
    "most_recent_location": Field(Kind.CIRCLE),
    # Other
    "segment_membership": Field(Kind.MEMBER, name=True),
    "test_user": Field(Kind.BOOLEAN),
    "global_control_group": Field(Kind.BOOLEAN),
}
