"""Merges of any two profiles: nothing is invented, nothing is dropped in silence, and an undo takes it all back."""

from dataclasses import asdict, replace
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.domain import sizes
from app.domain.history import Origin
from app.domain.identifiers import identifiers_of
from app.domain.merging.consents import consents, is_refusal
from app.domain.merging.merge import MERGE, NONE, get, perform, plan_merge
from app.domain.merging.undo import undo
from app.domain.profile import (
    BRAZE,
    CHANNEL_EMAIL,
    SUBSCRIBED,
    SUBSCRIPTION_STATES,
    UNSUBSCRIBED,
    Address,
    AddressState,
    Identifier,
    Profile,
)
from app.domain.state import State
from tests.domain.builders import profile, state_of
from tests.domain.people import NAMES, TIMES, strict

EMAILS = ("x@example.org", "y@example.org")


def _dicts(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(NAMES, values, max_size=3)


def _some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """What is kept inside a section is left out rather than empty."""
    return st.dictionaries(NAMES, values, min_size=1, max_size=3)


_summaries = _dicts(st.tuples(st.integers(1, 9), TIMES, TIMES).map(lambda t: [t[0], min(t[1:]), max(t[1:])]))
_states = st.tuples(st.sampled_from(SUBSCRIPTION_STATES), TIMES).map(list)
_group_states = st.tuples(st.sampled_from([SUBSCRIBED, UNSUBSCRIBED]), TIMES).map(list)
_apps = _some(
    st.fixed_dictionaries(
        {"sessions": st.integers(1, 5)}, optional={"first_used": TIMES, "last_used": TIMES, "version": NAMES}
    )
)
_values = st.one_of(st.booleans(), st.integers(0, 2), st.sampled_from(["", "v", 1.0]), st.lists(NAMES, max_size=2))


@st.composite
def people(draw: st.DrawFn, most: int = 2) -> list[Profile]:
    """Profiles that could live in one workspace: external ids, aliases and push tokens have one holder."""
    made = []
    for pid in range(1, most + 1):
        values: dict[str, Any] = {
            "custom": draw(_dicts(_values)),
            "events": draw(_summaries),
            "purchases": draw(_summaries),
            "revenue_cents": draw(st.integers(-5, 500)),
            "purchase_count": draw(st.integers(0, 5)),
            "session_count": draw(st.integers(0, 5)),
            "first_purchase_us": draw(st.none() | TIMES),
            "last_purchase_us": draw(st.none() | TIMES),
            "first_session_us": draw(st.none() | TIMES),
            "last_session_us": draw(st.none() | TIMES),
            "flags": draw(st.sampled_from([0, 1])),
            "devices": draw(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "devices": _some(st.just({"os": "1"})),
                        "tokens": st.just({f"token{pid}": {"app": "Shop"}}),
                        "apps": _apps,
                        "uninstalled_at": TIMES,
                    },
                )
            ),
            "messages": draw(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "received": _some(TIMES),
                        "campaigns": _some(_some(TIMES)),
                        "canvases": _some(_some(TIMES)),
                        "history": _some(st.just({"at": 1})),
                    },
                )
            ),
        }
        values = {name: value for name, value in values.items() if name in Profile.__slots__}
        if draw(st.booleans()):
            values["external_id"] = f"u{pid}"
        core = draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "aliases": st.dictionaries(NAMES, st.just(f"n{pid}"), min_size=1, max_size=2),
                    "deprecated": st.just([f"old{pid}"]),
                    "first_name": st.sampled_from(["", "Ana", "Bo"]),
                    "current_location": st.just([1, 2.5]),
                    "push_subscribe": _states,
                    "email_open_tracking_disabled": st.booleans(),
                    "marked_email_as_spam_at": TIMES,
                },
            )
        )
        address = draw(st.none() | st.sampled_from(EMAILS))
        if address is not None:
            core["email"] = address
        else:
            own = {"email_subscribe": _states, "email_groups": _some(_group_states)}
            core |= draw(st.fixed_dictionaries({}, optional=own))
        number = draw(st.sampled_from([{}, {"phone": "+1", "phone_raw": "1"}, {"phone_raw": f"x{pid}"}]))
        made.append(profile(pid, **values, **core, **number))
    return made


_addresses = st.dictionaries(
    st.tuples(st.just(CHANNEL_EMAIL), st.sampled_from(EMAILS), st.just("")),
    st.sampled_from(SUBSCRIPTION_STATES).map(lambda state: AddressState(state, 3)),
    max_size=2,
)
_groups = st.dictionaries(
    st.tuples(st.just(CHANNEL_EMAIL), st.sampled_from(EMAILS), NAMES),
    st.sampled_from([SUBSCRIBED, UNSUBSCRIBED]).map(lambda state: AddressState(state, 3)),
    max_size=3,
)
_policies = st.sampled_from((MERGE, NONE))


def merge(state: State, kept: int, merged: int, policy: str = MERGE, us: int = 1_000) -> str:
    """Merge by number; the id of the merge."""
    plan = plan_merge(state.profiles[kept], state.profiles[merged], policy, state.topics)
    perform(state, plan, Origin(0, us, 0, us), f"m{us}")
    return f"m{us}"


def facts(state: State) -> object:
    """All that a state says, but for history and records."""
    return (
        {pid: asdict(found) for pid, found in state.profiles.items()},
        {key: pids for key, pids in state.index.items() if pids},
        {address: found for address, found in state.addresses.items() if found is not None},
        state.lineage,
    )


@settings(deadline=None, max_examples=60)
@given(people(), _policies)
def test_every_identifier_leads_to_the_kept_profile_or_is_reported(found: list[Profile], policy: str) -> None:
    kept, merged = found
    before: set[Identifier] = (
        identifiers_of(kept) | identifiers_of(merged) | {(BRAZE, "", kept.braze_id), (BRAZE, "", merged.braze_id)}
    )
    state = state_of(kept, merged)
    plan = plan_merge(kept, merged, policy)
    perform(state, plan, Origin(0, 9, 0, 1_000), "m")
    assert {key for key, pids in state.index.items() if pids} == before - set(plan.retired)
    assert all(pids == {kept.pid} for pids in state.index.values() if pids)
    assert set(plan.moved) <= identifiers_of(kept)
    assert not set(plan.retired) & identifiers_of(kept)
    if policy == NONE:
        assert {key[0] for key in plan.moved} <= {3, 4, 5, 7}  # an alias or a push token, or an address that both have


@settings(deadline=None, max_examples=60)
@given(people(), _addresses, _policies)
def test_what_is_performed_is_what_the_plan_said(
    found: list[Profile], addresses: dict[Address, AddressState], policy: str
) -> None:
    kept, merged = found
    state = state_of(kept, merged, addresses=addresses)
    before = asdict(kept)
    plan = plan_merge(kept, merged, policy, state.topics)
    preview = repr(plan)
    perform(state, plan, Origin(0, 9, 2, 1_000), "m")
    assert repr(plan) == preview
    assert kept.size == sizes.of_profile(kept)
    assert all(get(kept, change.path) == change.result for change in plan.changes)
    # Taken back one by one, they leave the profile as it was: nothing else was changed.
    by_the_merge = {("last_merge",), ("updated_us",), ("updated_index",), ("size",)}
    changed = {change.path for change in plan.changes} | by_the_merge
    reverted = state_of(Profile(**before))
    differing = {path for path in _paths(before) | _paths(asdict(kept)) if _at(before, path) != _at(asdict(kept), path)}
    assert all(any(path[: len(change)] == change for change in changed) for path in differing)
    assert all(get(reverted.profiles[1], change.path) == change.kept for change in plan.changes)
    expected = dict(addresses)
    theirs = (merged.core or {}).get("email")
    for address, consent in addresses.items():
        if address[1] == theirs and theirs != (kept.core or {}).get("email"):  # nobody has it now
            expected[address] = replace(consent, forget_us=state.records["m"].expires_us)  # type: ignore[union-attr]
    expected |= {consent.address: consent.after for consent in consents(plan)}
    assert state.addresses == expected


def _paths(document: dict[str, Any]) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for name, value in document.items():
        if isinstance(value, dict):
            found |= {path if name == "core" else (name, *path) for path in _paths(value)}
        else:
            found.add((name,))
    return found


def _at(document: dict[str, Any], path: tuple[str, ...]) -> Any:
    node: Any = document if path[0] in document else document["core"]
    for key in path:
        node = node.get(key) if isinstance(node, dict) else None
    return node


@settings(deadline=None, max_examples=60)
@given(people(), _addresses, _policies)
def test_consent_is_never_made_more_permissive(
    found: list[Profile], addresses: dict[Address, AddressState], policy: str
) -> None:
    kept, merged = found
    state = state_of(kept, merged, addresses=addresses)
    own: Any = (kept.core or {}).get("email_subscribe")
    merge(state, 1, 2, policy)
    for address in {(CHANNEL_EMAIL, email, "") for email in EMAILS}:
        now, before = state.addresses.get(address), addresses.get(address)
        assert _rank(now) <= _rank(before)
    core: dict[str, Any] = kept.core or {}
    mine: Any = core.get("email_subscribe")
    if "email" in core:
        assert mine is None
        if own is not None:
            assert _rank(state.addresses.get((CHANNEL_EMAIL, core["email"], ""))) <= SUBSCRIPTION_STATES.index(own[0])
    elif own is not None:
        assert SUBSCRIPTION_STATES.index(mine[0]) <= SUBSCRIPTION_STATES.index(own[0])


def _rank(state: AddressState | None) -> int:
    return SUBSCRIPTION_STATES.index("subscribed" if state is None else state.state)


def _meeting(own: dict[str, Any]) -> list[Profile]:
    """A profile without address that has states of its own, and one with an address that it takes."""
    return [profile(1, **own), profile(2, email=EMAILS[0])]


@settings(deadline=None, max_examples=60)
@given(people(), _addresses, _groups, _policies)
@example(_meeting({"email_subscribe": [UNSUBSCRIBED, 1]}), {}, {}, MERGE)
@example(_meeting({"email_groups": {"a": [SUBSCRIBED, 1]}}), {}, {}, MERGE)
@example(_meeting({"email_groups": {"a": [UNSUBSCRIBED, 1]}}), {}, {}, MERGE)
def test_an_undo_restores_both_profiles(
    found: list[Profile],
    addresses: dict[Address, AddressState],
    groups: dict[Address, AddressState],
    policy: str,
) -> None:
    # New profiles: those of an explicit example are there once for all runs.
    found, addresses = [_copy(each) for each in found], addresses | groups
    state = state_of(*found, addresses=addresses)
    plan = plan_merge(state.profiles[1], state.profiles[2], policy, state.topics)
    # An address that the merge made more restrictive stays so: an undo subscribes nobody.
    refused = [consent for consent in consents(plan) if is_refusal(consent.after, consent.before)]
    addresses |= {consent.address: consent.after for consent in refused}
    before = strict(facts(state_of(*(_copy(each) for each in found), addresses=addresses)))
    done = merge(state, 1, 2, policy)
    assert undo(state, done, Origin(0, 10, 0, 2_000)) == ""
    assert strict(facts(state)) == before
    assert [one.size for one in state.profiles.values()] == [sizes.of_profile(one) for one in state.profiles.values()]
    record = state.records[done]
    assert record is not None
    named = (consent.address[2] for consent in refused)
    assert record.unseparated == [f"email_groups.{group}" if group else "email_subscribe" for group in named]


@settings(deadline=None, max_examples=60)
@given(people(most=4), st.permutations([2, 3, 4]), st.booleans())
def test_the_order_of_a_chain_does_not_matter_to_sums_minima_maxima_and_unions(
    found: list[Profile], order: list[int], into_each_other: bool
) -> None:
    one, other = state_of(*(_copy(each) for each in found)), state_of(*(_copy(each) for each in found))
    for n in (2, 3, 4):
        merge(one, 1, n, us=1_000 + n)
    if into_each_other:  # the last one into the one before it, and so on
        for n, (kept, merged) in enumerate(zip([order[1], order[0], 1], [order[2], order[1], order[0]], strict=True)):
            merge(other, kept, merged, us=1_000 + n)
    else:
        for n, merged in enumerate(order):
            merge(other, 1, merged, us=1_000 + n)
    assert _sums(one.profiles[1]) == _sums(other.profiles[1])
    events = [(each.events or {}).get("a", [0])[0] for each in found]
    assert (one.profiles[1].events or {}).get("a", [0])[0] == sum(events)
    assert one.profiles[1].revenue_cents == sum(each.revenue_cents for each in found)


def _copy(found: Profile) -> Profile:
    """With sections of its own, since performing a merge changes the kept one's."""
    return Profile(**asdict(found))


def _sums(found: Profile) -> object:
    core: dict[str, Any] = found.core or {}
    devices: dict[str, Any] = found.devices or {}
    messages: dict[str, Any] = found.messages or {}
    return (
        found.revenue_cents,
        found.purchase_count,
        found.session_count,
        found.first_purchase_us,
        found.last_purchase_us,
        found.first_session_us,
        found.last_session_us,
        found.flags,
        found.events,
        found.purchases,
        set(found.custom or {}),
        core["merges"],
        set(core.get("deprecated", ())),
        set(core.get("aliases", {})),
        {name: set(devices.get(name, ())) for name in ("devices", "tokens", "apps")},
        {name: app["sessions"] for name, app in devices.get("apps", {}).items()},
        {name: (app.get("first_used"), app.get("last_used")) for name, app in devices.get("apps", {}).items()},
        messages,
    )
