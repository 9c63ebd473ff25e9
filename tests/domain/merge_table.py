"""What a merge makes of two values of each field: the table, and how a row is checked."""

from copy import deepcopy
from typing import Any, Final

from app.domain.merging.merge import MERGE, NONE
from app.domain.profile import (
    CORE_FIELDS,
    OPTED_IN,
    SUBSCRIBED,
    TEST_USER,
    UNSUBSCRIBED,
)
from tests.domain.builders import merged, profile

#: Field, the kept profile's value, the merged one's, and what comes of them; None is no value.
TABLE: Final[list[tuple[str, Any, Any, Any]]] = [
    ("pid", 1, 2, 1),
    ("braze_id", "1", "2", "1"),
    # The sections are empty but for what the merge leaves: the number of merges, and the id of the last one.
    ("size", 128, 9_000, 128 + len('"merges":,"last_merge":"m1",') + 16),
    # The merge itself is the last write, at microsecond 1,000 as command 3.
    ("updated_us", 1, 5_000, 1_000),
    ("updated_index", 0, 9, 3),
    ("last_merge", "k0", "m0", "m1"),
    ("last_name", None, "Roe", "Roe"),
    ("last_name", "Doe", "Roe", "Doe"),
    ("email", None, "m@example.org", "m@example.org"),
    ("email", "k@example.org", "m@example.org", "k@example.org"),
    ("country", None, "DE", "DE"),
    ("country", "FR", "DE", "FR"),
    ("language", None, "de", "de"),
    ("language", "fr", "de", "fr"),
    ("time_zone", None, "Europe/Berlin", "Europe/Berlin"),
    ("time_zone", "Europe/Paris", "Europe/Berlin", "Europe/Paris"),
    ("home_city", None, "Berlin", "Berlin"),
    ("home_city", "Paris", "Berlin", "Paris"),
    ("dob", "1980-02-03", "1990-02-03", "1980-02-03"),
    ("gender", None, "F", "F"),
    ("gender", "M", "F", "M"),
    ("current_location", [3, 4.5], [1, 2.5], [3, 4.5]),
    ("facebook", None, {"id": "2"}, {"id": "2"}),
    ("twitter", None, {"id": 2}, {"id": 2}),
    ("twitter", {"id": 1}, {"id": 2}, {"id": 1}),
    ("native_line_id", None, "m", "m"),
    ("native_line_id", "k", "m", "k"),
    ("image_url", None, "m.png", "m.png"),
    ("image_url", "k.png", "m.png", "k.png"),
    ("external_id", None, "m", "m"),
    ("external_id", "k", "m", "k"),
    ("flags", 0, TEST_USER, TEST_USER),
    ("flags", 0, 2, 0),
    ("created_us", 5, 3, 5),
    ("created_from", "sdk", "rest", "sdk"),
    ("random_bucket", 17, 4, 17),
    ("revenue_cents", 1000, 2050, 3050),
    ("revenue_cents", 2**63 - 1, 5, 2**63 - 1),
    ("purchase_count", 1, 2, 3),
    ("first_purchase_us", None, 5, 5),
    ("first_purchase_us", 4, None, 4),
    ("first_purchase_us", 9, 5, 5),
    ("first_purchase_us", 4, 5, 4),
    ("last_purchase_us", 9, 5, 9),
    ("last_purchase_us", 4, 5, 5),
    ("session_count", 5, 3, 8),
    ("first_session_us", 9, 5, 5),
    ("first_session_us", 4, 5, 4),
    ("last_session_us", 9, 50, 50),
    ("last_session_us", 9, 5, 9),
    ("aliases", {"crm": "1"}, {"basket": "g"}, {"crm": "1", "basket": "g"}),
    ("aliases", {"crm": "1"}, {"crm": "2"}, {"crm": "1"}),
    ("deprecated", ["a"], ["b", "a"], ["a", "b"]),
    ("first_name", None, "Ana", "Ana"),
    ("first_name", "Anna", "Ana", "Anna"),
    ("first_name", "", "Ana", ""),
    ("dob", None, "1990-02-03", "1990-02-03"),
    ("current_location", None, [1, 2.5], [1, 2.5]),
    ("facebook", {"id": "1"}, {"id": "2", "likes": ["x"]}, {"id": "1"}),
    ("push_subscribe", None, [OPTED_IN, 3], [OPTED_IN, 3]),
    ("push_subscribe", [SUBSCRIBED, 5], [UNSUBSCRIBED, 3], [SUBSCRIBED, 5]),
    ("email_subscribe", [OPTED_IN, 5], [UNSUBSCRIBED, 3], [UNSUBSCRIBED, 3]),
    ("email_subscribe", [UNSUBSCRIBED, 5], [OPTED_IN, 3], [UNSUBSCRIBED, 5]),
    ("email_groups", {"a": [SUBSCRIBED, 5]}, None, {"a": [SUBSCRIBED, 5]}),
    (
        "email_groups",
        {"a": [SUBSCRIBED, 5], "b": [UNSUBSCRIBED, 4]},
        {"a": [UNSUBSCRIBED, 3], "b": [SUBSCRIBED, 9], "c": [SUBSCRIBED, 1]},
        {"a": [UNSUBSCRIBED, 3], "b": [UNSUBSCRIBED, 4], "c": [SUBSCRIBED, 1]},
    ),
    ("phone_groups", {"a": [SUBSCRIBED, 5]}, {"a": [UNSUBSCRIBED, 3]}, {"a": [UNSUBSCRIBED, 3]}),
    ("phone_groups", {"a": [UNSUBSCRIBED, 5]}, {"a": [SUBSCRIBED, 3]}, {"a": [UNSUBSCRIBED, 5]}),
    ("phone_groups", None, {"c": [SUBSCRIBED, 1]}, {"c": [SUBSCRIBED, 1]}),
    ("merges", None, None, 1),
    ("merges", 2, 3, 6),
    (
        "custom",
        {"color": "blue", "tags": ["a"], "home": {"x": 1}},
        {"color": "green", "lead": True, "tags": ["b"], "home": {"y": 2}},
        {"color": "blue", "tags": ["a"], "home": {"x": 1}, "lead": True},
    ),
    (
        "events",
        {"view": [2, 20, 70]},
        {"view": [4, 30, 60], "zoom": [1, 7, 7]},
        {"view": [6, 20, 70], "zoom": [1, 7, 7]},
    ),
    ("purchases", {"mug": [1, 5, 5]}, {"mug": [2, 8, 9]}, {"mug": [3, 5, 9]}),
    (
        "devices",
        {"devices": {"d1": {"os": "1"}}, "tokens": {"t1": {"app": "a"}}, "uninstalled_at": 4},
        {
            "devices": {"d1": {"os": "2"}, "d2": {}},
            "tokens": {"t2": {"app": "a"}, "t1": {"app": "b"}},
            "uninstalled_at": 9,
        },
        {
            "devices": {"d1": {"os": "1"}, "d2": {}},
            "tokens": {"t1": {"app": "a"}, "t2": {"app": "a"}},
            "uninstalled_at": 4,
        },
    ),
    (
        "devices",
        {"active": {"": [10, 0b1]}},
        {"active": {"": [12, 0b1], "Shop": [12, 0b1]}},
        {"active": {"": [12, 0b101], "Shop": [12, 0b1]}},
    ),
    (
        "devices",
        {"apps": {"Shop": {"sessions": 5, "first_used": 11, "last_used": 20, "version": "1", "platform": "ios"}}},
        {
            "apps": {
                "Shop": {"sessions": 3, "first_used": 12, "last_used": 30, "version": "2"},
                "Kiosk": {"sessions": 1, "first_used": 6, "last_used": 6},
            }
        },
        {
            "apps": {
                "Shop": {"sessions": 8, "first_used": 11, "last_used": 30, "version": "2", "platform": "ios"},
                "Kiosk": {"sessions": 1, "first_used": 6, "last_used": 6},
            }
        },
    ),
    (
        "messages",
        {
            "received": {"email": 5, "push": 9},
            "campaigns": {"c": {"received": 5, "opened": 6}},
            "canvases": {"v": {"entered": 4}},
            "history": {"s1": {"at": 5}},
        },
        {
            "received": {"email": 7, "push": 2, "sms": 1},
            "campaigns": {"c": {"received": 7, "opened": 2}, "d": {"received": 1}},
            "canvases": {"v": {"entered": 3}, "w": {"entered": 3}},
            "history": {"s2": {"at": 7}, "s1": {"at": 6}},
        },
        {
            "received": {"email": 7, "push": 9, "sms": 1},
            "campaigns": {"c": {"received": 7, "opened": 6}, "d": {"received": 1}},
            "canvases": {"v": {"entered": 4}, "w": {"entered": 3}},
            "history": {"s1": {"at": 5}, "s2": {"at": 7}},
        },
    ),
    (
        "commerce",
        {
            "placed": 2,
            "cancelled": 1,
            "refunded": 5,
            "last_order": 9,
            "carts": {"c": {"updated": 5, "lines": {}}, "d": {"updated": 8, "lines": {}}},
            "days": {"20000": [1, 100, 5]},
            "unbooked": {"XAU": "0.5", "FRF": "2"},
        },
        {
            "placed": 3,
            "cancelled": 4,
            "refunded": 7,
            "last_order": 12,
            "carts": {
                "c": {"updated": 6, "lines": {"p": 1}},
                "d": {"updated": 7, "lines": {"p": 1}},
                "e": {"updated": 1, "lines": {}},
            },
            "days": {"20000": [1, 50, 0], "20001": [1, 1, 7]},
            "unbooked": {"XAU": "0.25"},
        },
        {
            "placed": 5,
            "cancelled": 5,
            "refunded": 12,
            "last_order": 12,
            "carts": {
                "c": {"updated": 6, "lines": {"p": 1}},
                "d": {"updated": 8, "lines": {}},
                "e": {"updated": 1, "lines": {}},
            },
            "days": {"20000": [2, 150, 5], "20001": [1, 1, 7]},
            "unbooked": {"XAU": "0.75", "FRF": "2"},
        },
    ),
    ("commerce", {"last_order": 12}, {"last_order": 9, "placed": 1}, {"last_order": 12, "placed": 1}),
]


#: What the merge itself sets, whatever the two profiles have.
BY_THE_MERGE: Final = ("size", "updated_us", "updated_index", "last_merge")


def check_row(field: str, kept: Any, other: Any, result: Any) -> None:
    """A row of the table is what happens. The plan names the field if it changes, and only then."""
    for policy, expected in ((MERGE, result), (NONE, under_none(field, kept, result))):
        values = [{} if value is None and field in CORE_FIELDS else {field: deepcopy(value)} for value in (kept, other)]
        after, _, plan = merged(profile(1, **values[0]), profile(2, **values[1]), policy)
        assert after.core is not None
        assert (after.core.get(field) if field in CORE_FIELDS else getattr(after, field)) == expected
        changes = field not in BY_THE_MERGE and expected != kept
        assert any(change.path[0] == field for change in plan.changes) is changes


def under_none(field: str, kept: Any, result: Any) -> Any:
    """What a row leads to under the policy `none`, which takes only push tokens, message history and aliases."""
    if field in ("aliases", "merges", *BY_THE_MERGE):
        return result
    if field in ("devices", "messages"):
        taken = "tokens" if field == "devices" else "history"
        return kept | {taken: result[taken]} if taken in result else kept
    return kept


#: `core` of the kept profile, of the merged one, and what comes of them, where fields go together.
TOGETHER: Final[list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]] = [
    ({"phone": "+1"}, {"phone": "+2", "phone_raw": "2"}, {"phone": "+1"}),
    ({"phone_raw": "12"}, {"phone": "+2", "phone_raw": "2"}, {"phone_raw": "12"}),
    ({}, {"phone": "+2", "phone_raw": "2"}, {"phone": "+2", "phone_raw": "2"}),
    ({}, {"phone_raw": "12"}, {"phone_raw": "12"}),
    ({"email": "k@x"}, {"email": "m@x", "marked_email_as_spam_at": 5}, {"email": "k@x"}),
    ({}, {"email": "m@x", "marked_email_as_spam_at": 5}, {"email": "m@x", "marked_email_as_spam_at": 5}),
    (
        {"email_click_tracking_disabled": True},
        {"email": "m@x", "email_click_tracking_disabled": False},
        {"email": "m@x", "email_click_tracking_disabled": True},
    ),
    (
        {"email_open_tracking_disabled": True, "email_click_tracking_disabled": False},
        {"email": "m@x", "email_open_tracking_disabled": False, "email_click_tracking_disabled": True},
        {"email": "m@x", "email_open_tracking_disabled": True, "email_click_tracking_disabled": True},
    ),
    (
        {"email": "m@x"},
        {"email": "m@x", "email_open_tracking_disabled": True},
        {"email": "m@x", "email_open_tracking_disabled": True},
    ),
    ({"email_subscribe": [SUBSCRIBED, 1]}, {"email": "m@x"}, {"email": "m@x"}),
]


def check_together(kept: dict[str, Any], other: dict[str, Any], core: dict[str, Any]) -> None:
    """A row is what happens; under the policy `none` the kept profile keeps what it has."""
    for policy, expected in ((MERGE, core), (NONE, kept)):
        after, _, _ = merged(profile(1, **kept), profile(2, **other), policy)
        assert after.core == {**expected, "merges": 1, "last_merge": "m1"}
