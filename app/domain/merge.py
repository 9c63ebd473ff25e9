"""Merging one profile into another: first a plan, which changes nothing, then the plan is performed.

A preview shows the plan; what is performed is the plan itself, so the two cannot differ. The rules of the fields are in
`merge_rules`.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, fields
from typing import Any, Final

from app.domain.history import Origin
from app.domain.merge_rules import KEEP, RULES, Leaf, Pair, Path, same, stricter
from app.domain.profile import (
    BRAZE,
    CHANNEL_EMAIL,
    CORE,
    CORE_FIELDS,
    SECTION_NAMES,
    SUBSCRIBED,
    SUBSCRIPTION_STATES,
    Address,
    AddressState,
    Key,
    Profile,
)
from app.domain.state import NotLoadedError, State, keys_from, keys_of

#: Everything of the table in spec merge.md 3.
MERGE: Final = "merge"
#: Only push tokens, message history and aliases (spec identify.md 6).
NONE: Final = "none"
POLICIES: Final = (MERGE, NONE)


@dataclass(frozen=True, slots=True)
class Change:
    """A value of the kept profile, the merged one's, and what comes of them; None is no value."""

    path: Path
    kept: Any
    merged: Any
    result: Any


@dataclass(frozen=True, slots=True)
class Consent:
    """The recorded state of an address, before and after."""

    address: Address
    before: AddressState | None
    after: AddressState


@dataclass(frozen=True, slots=True)
class MergePlan:
    """What merging would do. The identifiers of the merged profile are in `moved` or in `retired`."""

    policy: str
    kept_pid: int
    merged_pid: int
    kept_braze_id: str
    merged_braze_id: str
    #: Values of the kept profile that change.
    changes: tuple[Change, ...]
    #: Values of the merged profile that nobody has afterwards.
    lost: tuple[Change, ...]
    #: Identifiers of the merged profile that lead to the kept one afterwards.
    moved: tuple[Key, ...]
    #: Identifiers of the merged profile that lead to nobody afterwards.
    retired: tuple[Key, ...]
    #: (label, kept name, merged name): both have an alias of one label; the merged one's becomes free.
    alias_conflicts: tuple[tuple[str, str, str], ...]
    #: A refusal of somebody without e-mail address that the address gets; never a state more permissive than before.
    consent: Consent | None = None


def plan_merge(
    kept: Profile,
    merged: Profile,
    policy: str = MERGE,
    consent_of: Callable[[Address], AddressState | None] = lambda _address: None,
) -> MergePlan:
    """What becomes of `kept` when `merged` is merged into it. Both have all sections.

    `consent_of` tells the recorded state of an address (State.address). Raises NotLoadedError for a missing section,
    ValueError for one profile given twice.
    """
    if kept.pid == merged.pid:
        raise ValueError("a profile is not merged into itself")
    pair = _pair(kept, merged)
    changes: list[Change] = []
    lost: list[Change] = []
    core: dict[str, Any] = {**_core(kept), "aliases": dict(_core(kept).get("aliases", {}))}
    external_id = kept.external_id
    for path, leaf, kept_value, merged_value in _leaves(kept, merged):
        heeded = policy == MERGE or leaf.always
        result = leaf.join(kept_value, merged_value, pair) if heeded else kept_value
        if not same(result, kept_value):
            changes.append(Change(path, kept_value, merged_value, result))
            if path[0] == "aliases":
                core["aliases"][path[1]] = result
            elif path[0] in CORE_FIELDS:
                core[path[0]] = result
            elif path[0] == "external_id":
                external_id = result
        if merged_value not in (None, 0) and not same(result, merged_value) and _is_lost(leaf, policy):
            lost.append(Change(path, kept_value, merged_value, result))
    afterwards = keys_from(external_id, core)
    had = keys_of(merged)
    return MergePlan(
        policy,
        kept.pid,
        merged.pid,
        kept.braze_id,
        merged.braze_id,
        tuple(changes),
        tuple(lost),
        moved=tuple(sorted(had & afterwards)),
        retired=tuple(sorted((had - afterwards) | {(BRAZE, "", merged.braze_id)})),
        alias_conflicts=tuple(
            (change.path[1], change.kept, change.merged) for change in lost if change.path[0] == "aliases"
        ),
        consent=_consent(kept, merged, core.get("email"), consent_of) if policy == MERGE else None,
    )


def perform(state: State, plan: MergePlan, origin: Origin) -> None:
    """Do what the plan says, which was made of the state as it is.

    Raises KeyError when one of the profiles is not there.
    """
    kept, merged = state.profiles[plan.kept_pid], state.profiles[plan.merged_pid]
    state.fold(merged, kept, with_occurrences=plan.policy == MERGE)
    before = keys_of(kept)
    for change in plan.changes:
        put(state, kept, change.path, deepcopy(change.result))
    _follow(state, kept, before)
    if plan.consent is not None:
        state.set_address(plan.consent.address, plan.consent.after)
    state.touch(kept, origin.us, origin.ordinal)
    state.changes.counts["merged"] += 1


def put(state: State, profile: Profile, path: Path, value: Any) -> None:
    """Set one value, or take it away (None). The identifiers are not looked after: see `_follow`."""
    name, *keys = path
    section = section_of(name)
    if section == 0:
        setattr(profile, name, value)
        state.changed(profile, 0)
        return
    state.changed(profile, section)
    node: dict[str, Any] = state.section(profile, section)
    if section == CORE:
        keys = [name, *keys]
    for key in keys[:-1]:
        node = node.setdefault(key, {})
    if value is None:
        node.pop(keys[-1], None)
    else:
        node[keys[-1]] = value


def section_of(field: str) -> int:
    """The section in which a field of RULES lies; 0 for the profile's own row."""
    if field in CORE_FIELDS:
        return CORE
    return next((section for section, name in SECTION_NAMES.items() if name == field), 0)


def _follow(state: State, profile: Profile, before: set[Key]) -> None:
    """Bring the index in step with a profile that had the identifiers `before`."""
    after = keys_of(profile)
    for key in sorted(before - after):
        state.drop_key(profile, key)
    for key in sorted(after - before):
        state.add_key(profile, key)


def _leaves(kept: Profile, merged: Profile) -> Iterator[tuple[Path, Leaf, Any, Any]]:
    for item in fields(Profile):
        if item.name == "core":
            continue
        if section_of(item.name) and None in (getattr(kept, item.name), getattr(merged, item.name)):
            raise NotLoadedError("section")
        yield from RULES[item.name].leaves((item.name,), getattr(kept, item.name), getattr(merged, item.name))
    for name in CORE_FIELDS:
        yield from RULES[name].leaves((name,), _core(kept).get(name), _core(merged).get(name))


def _core(profile: Profile) -> dict[str, Any]:
    if profile.core is None:
        raise NotLoadedError("section")
    return profile.core


def _pair(kept: Profile, merged: Profile) -> Pair:
    ours, theirs = _core(kept), _core(merged)
    has_phone = "phone" in ours or "phone_raw" in ours
    return Pair(
        kept,
        merged,
        takes_email="email" not in ours and "email" in theirs,
        same_email="email" in ours and ours["email"] == theirs.get("email"),
        takes_phone=not has_phone,
    )


def _is_lost(leaf: Leaf, policy: str) -> bool:
    if leaf is KEEP:
        return False
    return leaf.loses or (policy != MERGE and not leaf.always)


def _consent(
    kept: Profile, merged: Profile, email: object, consent_of: Callable[[Address], AddressState | None]
) -> Consent | None:
    """What the address of the kept profile learns from a person who had none: only a refusal (D11)."""
    if not isinstance(email, str):
        return None
    own = None
    for profile in (kept, merged):
        if "email" not in _core(profile):
            own = stricter(own, _core(profile).get("email_subscribe"))
    if own is None:
        return None
    address = (CHANNEL_EMAIL, email, "")
    recorded = consent_of(address)
    effective = SUBSCRIBED if recorded is None else recorded.state
    if SUBSCRIPTION_STATES.index(own[0]) >= SUBSCRIPTION_STATES.index(effective):
        return None
    return Consent(address, recorded, AddressState(own[0], own[1]))
