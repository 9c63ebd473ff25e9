"""The reducer, rule by rule: what one or two requests make of an empty or nearly empty workspace."""

from typing import Any

import pytest

from app.domain import times
from app.domain.profile import CHANNEL_EMAIL, SPAM, AddressState, Profile
from app.domain.profile import EMAIL as EMAIL_KIND
from app.domain.state import State
from app.domain.step import MAX_PROBLEM_BYTES_PER_REQUEST
from tests.domain.applying import NOW, apply


def only(state: State) -> Profile:
    (profile,) = state.profiles.values()
    return profile


def reasons(state: State) -> list[tuple[str, int, str, str]]:
    return [(p.input_array, p.index, p.field, p.reason) for p in state.changes.problems]


ALIAS = {"user_alias": {"alias_label": "web", "alias_name": "n"}}
BRAZE = {"braze_id": "0123456789abcdef01234567"}

CREATION = [
    # identifier, _update_existing_only, created by attributes, by events, by purchases
    ({"external_id": "a"}, None, True, True, True),
    ({"external_id": "a"}, False, True, True, True),
    ({"external_id": "a"}, True, False, False, False),
    (ALIAS, None, False, False, False),
    (ALIAS, False, True, True, True),
    (ALIAS, True, False, False, False),
    (BRAZE, None, False, False, False),
    (BRAZE, False, False, False, False),
    ({"email": "a@example.org"}, None, True, True, True),
    ({"email": "a@example.org"}, True, False, False, False),
    ({"phone": "+34600123456"}, None, True, True, True),
    ({"phone": "+34600123456"}, True, False, False, False),
    ({"external_id": "a"}, "true", False, False, False),
    (ALIAS, "false", True, True, True),
    (ALIAS, "no", False, False, False),
]
OBJECTS: dict[str, dict[str, Any]] = {
    "attributes": {"tier": "gold"},
    "events": {"name": "e", "time": "2026-11-20"},
    "purchases": {"product_id": "p", "currency": "USD", "price": 1, "time": "2026-11-20"},
}


@pytest.mark.parametrize(("identifier", "update_only", "attributes", "events", "purchases"), CREATION)
def test_who_is_created(
    identifier: dict[str, Any], update_only: object, attributes: bool, events: bool, purchases: bool
) -> None:
    flag = {} if update_only is None else {"_update_existing_only": update_only}
    for array, expected in (("attributes", attributes), ("events", events), ("purchases", purchases)):
        state = apply({array: [{**identifier, **flag, **OBJECTS[array]}]})
        assert (len(state.profiles), reasons(state)) == (
            (1, []) if expected else (0, [(array, 0, "", "profile_not_found")])
        )


def test_a_purchase_for_an_unknown_alias_creates_only_where_the_workspace_says_so() -> None:
    settings: dict[str, object] = {"alias_autocreate_on_purchase": True}
    purchase = {"purchases": [{**ALIAS, **OBJECTS["purchases"]}]}
    assert only(apply(purchase, settings=settings)).purchase_count == 1
    assert apply({"events": [{**ALIAS, **OBJECTS["events"]}]}, settings=settings).profiles == {}
    strict = {"purchases": [{**ALIAS, **OBJECTS["purchases"], "_update_existing_only": True}]}
    assert apply(strict, settings=settings).profiles == {}


def test_a_new_profile_is_complete() -> None:
    state = apply({"attributes": [{"external_id": "a", "email": "A@Example.org", "tier": "gold", "gender": "f"}]})
    profile = only(state)
    assert profile == Profile(
        pid=(2 << 12),
        braze_id=profile.braze_id,
        created_us=NOW,
        updated_us=NOW,
        updated_index=0,
        external_id="a",
        random_bucket=profile.random_bucket,
        size=128 + len('"email":"a@example.org","gender":"F",') + len('"tier":"gold",'),
        core={"email": "a@example.org", "gender": "F"},
        custom={"tier": "gold"},
        events={},
        purchases={},
        devices={},
        messages={},
        commerce={},
    )
    assert len(profile.braze_id) == 24
    assert int(profile.braze_id, 16) >= 0
    assert 0 <= profile.random_bucket < 10_000
    assert only(apply({"attributes": [{"external_id": "a"}]})).braze_id == profile.braze_id  # by its place alone


def test_an_email_identifier_becomes_the_email_and_no_alias() -> None:
    profile = only(apply({"attributes": [{"email": " A@Example.org ", "phone": "+34600123456"}]}))
    assert profile.core == {"email": "a@example.org", "phone": "+34600123456", "phone_raw": "+34600123456"}


def test_the_last_updated_identified_profile_gets_what_an_email_addresses() -> None:
    people = [{"external_id": name, "email": "s@example.org"} for name in ("old", "new")]
    anonymous = {"user_alias": {"alias_label": "l", "alias_name": "n"}, "_update_existing_only": False}
    state = apply(
        {"attributes": people},
        {"attributes": [{**anonymous, "email": "s@example.org"}]},
        {"attributes": [{"external_id": "old", "x": 1}]},
        {"attributes": [{"external_id": "new", "x": 1}]},
        {"attributes": [{"email": "S@example.org", "color": "red"}]},
    )
    assert {p.external_id: (p.custom or {}).get("color") for p in state.profiles.values()} == {
        "old": None,
        "new": "red",
        None: None,
    }


def test_recency_inside_one_request_is_the_order_of_its_objects() -> None:
    people = [{"external_id": name, "email": "s@example.org"} for name in ("b", "a")]
    state = apply({"attributes": people}, {"attributes": [{"email": "s@example.org", "color": "red"}]})
    assert {p.external_id for p in state.profiles.values() if p.custom} == {"a"}


def test_an_email_that_another_profile_has_attaches_nothing() -> None:
    state = apply(
        {"attributes": [{"email": "known@example.org", "x": 1}]},
        {"attributes": [{"external_id": "new", "email": "known@example.org"}]},
    )
    assert sorted((p.external_id or "", p.custom or {}) for p in state.profiles.values()) == [
        ("", {"x": 1}),
        ("new", {}),
    ]


def test_attributes_come_before_events_and_purchases_of_the_same_request() -> None:
    state = apply(
        {
            "purchases": [{"email": "a@example.org", **OBJECTS["purchases"]}],
            "events": [{"email": "a@example.org", "_update_existing_only": True, **OBJECTS["events"]}],
            "attributes": [{"external_id": "a", "email": "a@example.org"}],
        }
    )
    profile = only(state)
    assert (profile.external_id, profile.purchase_count, list(profile.events or {})) == ("a", 1, ["e"])
    assert (profile.updated_us, profile.updated_index) == (NOW, 2)


def test_null_clears_and_a_repeat_changes_nothing() -> None:
    state = apply(
        {"attributes": [{"external_id": "a", "first_name": "Ana", "email": "a@example.org", "tier": "gold"}]},
        {"attributes": [{"external_id": "a", "first_name": None, "email": None, "tier": None}]},
    )
    profile = only(state)
    assert (profile.core, profile.custom) == ({}, {})
    assert state.index[EMAIL_KIND, "", "a@example.org"] == set()


def test_summaries_revenue_and_refunds() -> None:
    def purchase(price: object, quantity: int, day: str, product: str = "p", currency: str = "usd") -> dict[str, Any]:
        time = f"2026-11-{day}"
        return {
            "external_id": "a",
            "product_id": product,
            "currency": currency,
            "price": price,
            "quantity": quantity,
            "time": time,
        }

    state = apply(
        {"purchases": [purchase(7.5, 2, "10"), purchase("0.005", 1, "05"), purchase(-3, 1, "12", "q")]},
        {"purchases": [purchase(100, 1, "11", "p", "EUR")], "events": [{"external_id": "a", **OBJECTS["events"]}]},
    )
    profile = only(state)
    day = {d: times.parse(f"2026-11-{d}") for d in ("05", "10", "11", "12")}
    assert profile.revenue_cents == 1500 + 1 - 300  # half a cent counts as one
    assert profile.purchase_count == 5
    assert (profile.first_purchase_us, profile.last_purchase_us) == (day["05"], day["12"])
    assert profile.purchases == {"p": [4, day["05"], day["11"]], "q": [1, day["12"], day["12"]]}
    assert reasons(state) == [("purchases", 0, "price", "no_usd_rate")]
    assert [(o.name, o.quantity, o.cents) for o in state.changes.occurrences if o.name_kind == 2] == [
        ("p", 2, 1500),
        ("p", 1, 1),
        ("q", 1, -300),
        ("p", 1, 0),
    ]


@pytest.mark.parametrize("price", [0, -0.0, 0.0, "-0", "-0.0", -1e-200], ids=repr)
def test_a_price_of_nothing_has_no_sign(price: object) -> None:
    """SQLite would keep the sign, and PostgreSQL would not."""
    sent = {"external_id": "a", "product_id": "p", "currency": "EUR", "price": price, "time": "2026-11-10"}
    (kept,) = apply({"purchases": [sent]}).changes.occurrences
    assert repr(kept.properties) == "{'price': 0.0, 'currency': 'EUR'}"


def test_revenue_stops_at_64_bits() -> None:
    dear = {
        "external_id": "a",
        "product_id": "p",
        "currency": "USD",
        "price": 10**12,
        "quantity": 100,
        "time": "2026-01-01",
    }
    state = apply(*[{"purchases": [dear] * 50} for _ in range(20)])
    assert only(state).revenue_cents == 2**63 - 1


def test_a_future_event_happens_now_and_an_old_one_leaves_no_occurrence() -> None:
    state = apply(
        {
            "events": [
                {"external_id": "a", "name": "future", "time": "2999-01-01"},
                {"external_id": "a", "name": "old", "time": "2013-07-16T19:20:50+01:00"},
            ]
        }
    )
    old = times.parse("2013-07-16T18:20:50Z")
    assert only(state).events == {"future": [1, NOW, NOW], "old": [1, old, old]}
    assert [o.name for o in state.changes.occurrences] == ["future"]


def test_equal_events_are_counted_apart() -> None:
    event = {"external_id": "a", **OBJECTS["events"]}
    assert [
        summary[0] for summary in (only(apply({"events": [event, event]}, {"events": [event]})).events or {}).values()
    ] == [3]


EMAIL = (CHANNEL_EMAIL, "a@example.org", "")
CONSENT = [
    # what the person did, then the recorded consent of a@example.org
    ([{"external_id": "a", "email": "a@example.org"}], None),
    ([{"external_id": "a", "email": "a@example.org", "email_subscribe": "opted_in"}], "opted_in"),
    ([{"external_id": "a", "email_subscribe": "opted_in", "email": "a@example.org"}], "opted_in"),
    (
        [{"external_id": "a", "email_subscribe": "unsubscribed"}, {"external_id": "a", "email": "a@example.org"}],
        "unsubscribed",
    ),
    # whoever has the address shares its state
    (
        [{"external_id": "a", "email": "a@example.org"}, {"email": "a@example.org", "email_subscribe": "unsubscribed"}],
        "unsubscribed",
    ),
    # taking over an address never makes its consent more permissive
    (
        [
            {"external_id": "a", "email": "a@example.org", "email_subscribe": "unsubscribed"},
            {"external_id": "b", "email_subscribe": "opted_in"},
            {"external_id": "b", "email": "a@example.org"},
        ],
        "unsubscribed",
    ),
    # a state named beside the address is meant
    (
        [
            {"external_id": "a", "email": "a@example.org", "email_subscribe": "unsubscribed"},
            {"external_id": "b", "email": "a@example.org", "email_subscribe": "opted_in"},
        ],
        "opted_in",
    ),
    # the state follows to a new address
    (
        [
            {"external_id": "a", "email": "b@example.org", "email_subscribe": "unsubscribed"},
            {"external_id": "a", "email": "a@example.org"},
        ],
        "unsubscribed",
    ),
]


@pytest.mark.parametrize(("objects", "expected"), CONSENT)
def test_consent_belongs_to_the_address(objects: list[dict[str, Any]], expected: str | None) -> None:
    state = apply(*[{"attributes": [one]} for one in objects])
    recorded = state.addresses.get(EMAIL)
    assert (recorded.state if recorded is not None else None) == expected


def test_resubscribing_on_a_new_address_is_a_setting() -> None:
    objects = CONSENT[-1][0]
    state = apply(*[{"attributes": [one]} for one in objects], settings={"resubscribe_on_email_change": True})
    assert state.addresses[EMAIL] == AddressState("subscribed", NOW + 2)


def test_clearing_the_address_keeps_the_state_with_the_person() -> None:
    state = apply(
        {"attributes": [{"external_id": "a", "email": "a@example.org", "email_subscribe": "unsubscribed"}]},
        {"attributes": [{"external_id": "a", "email": None}]},
    )
    assert only(state).core == {"email_subscribe": ["unsubscribed", NOW]}


def test_skipped_fields_are_told() -> None:
    state = apply(
        {
            "attributes": [
                {"external_id": "a", "n": "x" * 256, "$bad": 1, "language": "klingon", "points": {"inc": "1"}, "ok": 1}
            ]
        }
    )
    assert only(state).custom == {"ok": 1}
    assert reasons(state) == [
        ("attributes", 0, "language", "invalid_value"),
        ("attributes", 0, "n", "value_too_long"),
        ("attributes", 0, "$bad", "invalid_name"),
        ("attributes", 0, "points", "not_an_integer"),
    ]


def test_problems_of_one_request_are_bounded() -> None:
    bad = {f"n{i}": "x" * 256 for i in range(150)}
    state = apply({"attributes": [{"external_id": "a", **bad}, {"external_id": "b", **bad}]})
    assert len(reasons(state)) == 200
    assert reasons(state)[-1][2:] == ("", "further_problems_omitted")
    assert state.changes.counts.ignored == 300


@pytest.mark.parametrize("name", ["n", "n" * 250, "\u00fc" * 250])
def test_what_is_kept_of_problems_is_bounded_in_bytes(name: str) -> None:
    """Whatever a client calls its fields: also where they are many bytes a character."""
    bad = {f"{name}{i:03}": "x" * 256 for i in range(150)}
    state = apply({"attributes": [{"external_id": "a", **bad}, {"external_id": "b", **bad}]})
    told = reasons(state)
    assert told[-1][2:] == ("", "further_problems_omitted")
    kept = sum(len(array) + len(field.encode()) + len(reason) for array, _, field, reason in told)
    assert kept <= MAX_PROBLEM_BYTES_PER_REQUEST
    assert (len(told) == 200) == (len(name) == 1)
    assert state.changes.counts.ignored == 300


@pytest.mark.parametrize(
    ("then", "marked"),
    [
        ({"email": "new@example.org"}, None),
        ({"email": None}, None),
        ({"email": "OLD@example.org"}, True),
        ({"marked_email_as_spam_at": "2026-11-02", "email": "new@example.org"}, True),
    ],
    ids=["another address", "none", "the same", "both at once"],
)
def test_a_new_address_starts_without_complaints(then: dict[str, object], marked: bool | None) -> None:
    first = {"external_id": "a", "email": "old@example.org", "marked_email_as_spam_at": "2026-11-01"}
    state = apply({"attributes": [first]}, {"attributes": [{"external_id": "a", **then}]})
    core = only(state).core or {}
    assert "marked_email_as_spam_at" not in core
    mark = state.address((CHANNEL_EMAIL, str(core.get("email", "")), SPAM))
    assert (mark is not None) is bool(marked)
