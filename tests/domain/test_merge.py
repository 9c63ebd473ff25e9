"""What a merge makes of two profiles: every field has a rule, and the rules are those of the table."""

from dataclasses import asdict, fields
from typing import Any

import pytest

from app.domain import sizes
from app.domain.changes import Link
from app.domain.history import Origin
from app.domain.identifiers import identifiers_of
from app.domain.merging.merge import NONE, perform, plan_merge
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
    TOKEN,
    UNSUBSCRIBED,
    Address,
    AddressState,
    Profile,
)
from app.domain.times import DAY
from tests.domain.builders import merged, profile, state_of
from tests.domain.merge_table import TABLE, TOGETHER, check_row, check_together


def test_every_field_has_a_rule() -> None:
    """A new field of a profile needs a line in RULES before it can be merged."""
    wanted = {item.name for item in fields(Profile)} - {"core"} | set(CORE_FIELDS)
    assert set(RULES) == wanted
    assert not set(CORE_FIELDS) & {item.name for item in fields(Profile)}


OURS = (CHANNEL_EMAIL, "k@example.org", "")
THEIRS = (CHANNEL_EMAIL, "m@example.org", "")


@pytest.mark.parametrize(("field", "kept", "other", "result"), TABLE)
def test_the_table(field: str, kept: Any, other: Any, result: Any) -> None:
    check_row(field, kept, other, result)


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
