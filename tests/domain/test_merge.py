"""What a merge makes of two profiles: every field has a rule, and the rules are those of the table."""

from copy import deepcopy
from dataclasses import asdict, fields
from typing import Any, Final

import pytest

from app.domain import sizes
from app.domain.changes import Link
from app.domain.history import Origin
from app.domain.identifiers import identifiers_of
from app.domain.merging.merge import MERGE, NONE, perform, plan_merge
from app.domain.merging.plan import Change
from app.domain.merging.rules import RULES
from app.domain.profile import (
    ALIAS,
    BRAZE,
    CHANNEL_EMAIL,
    CORE_FIELDS,
    DEPRECATED,
    EMAIL,
    EXTERNAL,
    OPTED_IN,
    PHONE,
    SUBSCRIBED,
    TEST_USER,
    TOKEN,
    UNSUBSCRIBED,
    Address,
    AddressState,
    Profile,
)
from app.domain.times import DAY
from tests.domain.builders import merged, profile, state_of


def test_every_field_has_a_rule() -> None:
    """A new field of a profile needs a line in RULES before it can be merged."""
    wanted = {item.name for item in fields(Profile)} - {"core"} | set(CORE_FIELDS)
    assert set(RULES) == wanted
    assert not set(CORE_FIELDS) & {item.name for item in fields(Profile)}


OURS = (CHANNEL_EMAIL, "k@example.org", "")
THEIRS = (CHANNEL_EMAIL, "m@example.org", "")


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


@pytest.mark.parametrize(("field", "kept", "other", "result"), TABLE)
def test_the_table(field: str, kept: Any, other: Any, result: Any) -> None:
    check_row(field, kept, other, result)


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


@pytest.mark.parametrize(("kept", "other", "core"), TOGETHER)
def test_what_goes_with_an_address_or_a_number(
    kept: dict[str, Any], other: dict[str, Any], core: dict[str, Any]
) -> None:
    check_together(kept, other, core)


@pytest.mark.parametrize(
    ("kept", "other", "recorded", "expected"),
    [
        # One address: one row says it, whoever has it.
        ({"email": "m@example.org"}, {"email": "m@example.org"}, {THEIRS: UNSUBSCRIBED}, {THEIRS: UNSUBSCRIBED}),
        # The state comes with the address.
        ({}, {"email": "m@example.org"}, {THEIRS: OPTED_IN}, {THEIRS: OPTED_IN}),
        # A refusal of somebody without address is not lost when an address comes.
        (
            {"email_subscribe": [UNSUBSCRIBED, 7]},
            {"email": "m@example.org"},
            {THEIRS: OPTED_IN},
            {THEIRS: UNSUBSCRIBED},
        ),
        ({"email_subscribe": [UNSUBSCRIBED, 7]}, {"email": "m@example.org"}, {}, {THEIRS: UNSUBSCRIBED}),
        ({"email_subscribe": [OPTED_IN, 7]}, {"email": "m@example.org"}, {}, {}),
        ({"email": "k@example.org"}, {"email_subscribe": [UNSUBSCRIBED, 7]}, {}, {OURS: UNSUBSCRIBED}),
        ({"email": "k@example.org"}, {"email_subscribe": [OPTED_IN, 7]}, {}, {}),
        # Another address is another matter.
        (
            {"email": "k@example.org"},
            {"email": "m@example.org"},
            {OURS: OPTED_IN, THEIRS: UNSUBSCRIBED},
            {OURS: OPTED_IN, THEIRS: UNSUBSCRIBED},
        ),
    ],
)
def test_consent_belongs_to_the_address(
    kept: dict[str, Any], other: dict[str, Any], recorded: dict[Address, str], expected: dict[Address, str]
) -> None:
    before = {address: AddressState(state, 1) for address, state in recorded.items()}
    _, state, _ = merged(profile(1, **kept), profile(2, **other), addresses=before)
    assert {address: found.state for address, found in state.addresses.items() if found is not None} == expected


def ana() -> Profile:
    """The anonymous profile of the merge examples."""
    return profile(
        2,
        aliases={"basket": "g"},
        first_name="Ana",
        email="ana@example.org",
        gender="F",
        custom={"color": "green", "lead": True},
        session_count=3,
        first_session_us=5 * DAY,
        last_session_us=20 * DAY,
        events={"view": [4, 6 * DAY, 18 * DAY], "zoom": [1, 7 * DAY, 7 * DAY]},
        purchases={"mug": [2, 8 * DAY, 9 * DAY]},
        purchase_count=2,
        revenue_cents=2050,
        devices={
            "tokens": {"tok-p": {"app": "Shop"}},
            "apps": {"Shop": {"sessions": 3, "first_used": 5 * DAY, "last_used": 20 * DAY}},
            "devices": {"d": {"os": "1"}},
        },
        messages={"received": {"push": 5}, "campaigns": {"c": {"received": 5}}, "history": {"s": {"at": 5}}},
    )


def known() -> Profile:
    """The identified profile of the merge examples."""
    return profile(
        1,
        external_id="c-1",
        aliases={"crm": "crm1"},
        first_name="Anna",
        custom={"color": "blue"},
        session_count=5,
        events={"view": [2, 2 * DAY, 19 * DAY]},
        devices={"tokens": {"tok-q": {"app": "Shop"}}},
    )


def test_none_takes_push_tokens_message_history_and_aliases_and_nothing_else() -> None:
    """What spec identify.md 6 lists; the rest of the anonymous profile is lost, and the plan says so."""
    kept, state, plan = merged(known(), ana(), NONE)
    expected = asdict(known())
    expected["core"] |= {"aliases": {"crm": "crm1", "basket": "g"}, "merges": 1, "last_merge": "m1"}
    expected["devices"] = {"tokens": {"tok-q": {"app": "Shop"}, "tok-p": {"app": "Shop"}}}
    expected["messages"] = {"history": {"s": {"at": 5}}}
    expected["updated_us"], expected["updated_index"] = 1_000, 3
    expected["size"] = sizes.of_profile(kept)
    assert asdict(kept) == expected
    assert state.lineage == {2: Link(2, 1, with_occurrences=False)}
    assert {change.path for change in plan.lost} >= {
        ("email",),
        ("custom", "lead"),
        ("events", "zoom"),
        ("session_count",),
        ("revenue_cents",),
        ("devices", "apps", "Shop"),
        ("messages", "received", "push"),
    }
    assert plan.retired == ((EMAIL, "", "ana@example.org"), (BRAZE, "", f"{2:024x}"))
    assert plan.moved == ((ALIAS, "basket", "g"), (TOKEN, "", "tok-p"))


def test_the_merged_profile_is_gone_and_its_identifiers_lead_to_the_kept_one() -> None:
    other = profile(
        2,
        external_id="m",
        deprecated=["m0"],
        aliases={"crm": "2", "web": "w"},
        email="m@example.org",
        phone="+2",
        phone_raw="2",
    )
    kept, state, plan = merged(profile(1, external_id="k", aliases={"crm": "1"}, phone="+1"), other)
    assert set(state.profiles) == {1}
    assert {key: pids for key, pids in state.index.items() if pids} == {
        **{key: {1} for key in identifiers_of(kept)},
        (BRAZE, "", kept.braze_id): {1},
    }
    assert identifiers_of(kept) == {
        (EXTERNAL, "", "k"),
        (DEPRECATED, "", "m0"),
        (ALIAS, "crm", "1"),
        (ALIAS, "web", "w"),
        (EMAIL, "", "m@example.org"),
        (PHONE, "", "+1"),
    }
    assert plan.moved == ((DEPRECATED, "", "m0"), (ALIAS, "web", "w"), (EMAIL, "", "m@example.org"))
    assert plan.retired == (
        (EXTERNAL, "", "m"),
        (ALIAS, "crm", "2"),
        (PHONE, "", "+2"),
        (BRAZE, "", other.braze_id),
    )
    assert plan.alias_conflicts == (("crm", "1", "2"),)
    assert state.changes.identifiers_dropped == {(key, 2) for key in identifiers_of(other)}
    assert state.changes.identifiers_added == {(key, 1) for key in plan.moved}
    assert (state.changes.removed, state.changes.created) == ({2}, set())
    assert (kept.updated_us, kept.updated_index) == (1_000, 3)
    assert state.lineage == {2: Link(2, 1, with_occurrences=True)}


def test_the_plan_says_what_changes_and_what_is_lost() -> None:
    _, _, plan = merged(profile(1, first_name="Anna"), profile(2, first_name="Ana", gender="F", custom={"n": 1}))
    assert plan.changes == (
        Change(("custom", "n"), None, 1, 1),
        Change(("gender",), None, "F", "F"),
        Change(("merges",), None, None, 1),
    )
    assert plan.lost == (Change(("first_name",), "Anna", "Ana", "Anna"),)


def test_a_plan_changes_nothing() -> None:
    kept, other = known(), ana()
    plan_merge(kept, other)
    assert (asdict(kept), asdict(other)) == (asdict(known()), asdict(ana()))


def test_later_writes_to_the_kept_profile_do_not_reach_the_plan() -> None:
    kept, _, plan = merged(profile(1), profile(2, custom={"tags": ["a"]}))
    assert kept.custom is not None
    kept.custom["tags"].append("b")  # type: ignore[attr-defined]
    assert plan.changes[0].result == ["a"]


def test_nobody_is_merged_into_himself() -> None:
    one = profile(1)
    with pytest.raises(ValueError, match="into itself"):
        plan_merge(one, one)


def test_a_deleted_profile_frees_its_identifiers_and_its_addresses() -> None:
    """Consent of an address that somebody else has stays."""
    one = profile(1, external_id="k", email="k@example.org", phone="+1")
    other = profile(2, email="m@example.org", aliases={"crm": "1"})
    third = profile(3, email="m@example.org")
    consent: dict[Address, AddressState] = {
        OURS: AddressState(OPTED_IN, 1),
        THEIRS: AddressState(OPTED_IN, 1),
        (1, "k@example.org", "g"): AddressState(SUBSCRIBED, 1),
    }
    state = state_of(one, other, third, addresses=consent)
    state.set_address(OURS, AddressState(UNSUBSCRIBED, 2))
    state.remove(one, "h1", Origin(0, 8, 0, 2_000))
    state.remove(other, "h2", Origin(0, 8, 1, 2_000))
    assert {key: pids for key, pids in state.index.items() if pids} == {
        (EMAIL, "", "m@example.org"): {3},
        (BRAZE, "", third.braze_id): {3},
    }
    assert state.changes.erased == state.changes.removed == {1, 2}
    assert state.changes.forgotten == {(1, "k@example.org"), (2, "+1")}
    assert state.changes.addresses == {}
    assert {address: found for address, found in state.addresses.items() if found} == {THEIRS: consent[THEIRS]}


def test_deleting_takes_the_whole_family_out_of_the_lineage() -> None:
    state = state_of(*(profile(n) for n in range(1, 6)))
    for kept, other in ((2, 3), (1, 2), (4, 5)):
        perform(state, plan_merge(state.profiles[kept], state.profiles[other]), Origin(0, 7, 0, 1_000), "m")
    assert [state.root(n) for n in range(1, 6)] == [1, 1, 1, 4, 4]
    state.remove(state.profiles[1], "h", Origin(0, 8, 0, 2_000))
    assert state.lineage == {5: Link(5, 4, with_occurrences=True)}
