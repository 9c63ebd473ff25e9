"""Merging one profile into another: first a plan, which changes nothing, then the plan is performed.

A preview shows the plan; what is performed is the plan itself, so the two cannot differ. The rules of the fields are in
`app.domain.merging.rules`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import fields
from typing import Any, Final

from app.domain import activity, sizes
from app.domain.address_book import NotLoadedError
from app.domain.history import MERGED, MERGED_INTO, Happening, Origin
from app.domain.identifiers import identifiers_from, identifiers_of
from app.domain.merging.consents import TopicsOf, consents, email_consent, group_consents
from app.domain.merging.devices import MOMENTS, beyond
from app.domain.merging.leaves import ByKey, Leaf, Members, Pair, Path, Rule, same
from app.domain.merging.plan import Change, MergePlan, MergeRecord
from app.domain.merging.rules import KEEP, RULES
from app.domain.profile import (
    BRAZE,
    CORE,
    CORE_FIELDS,
    CUSTOM,
    SECTION_NAMES,
    Identifier,
    Profile,
)
from app.domain.state import State
from app.domain.times import DAY

#: Everything of the table in spec merge.md 3.
MERGE: Final = "merge"
#: Only push tokens, message history and aliases (spec identify.md 6).
NONE: Final = "none"
#: Places of what is bounded.
_BOUNDED: Final = frozenset(("devices", name) for name in MOMENTS)


def plan_merge(
    kept: Profile,
    merged: Profile,
    policy: str = MERGE,
    topics_of: TopicsOf = lambda _channel, _address: {},
    most_devices: int | None = None,
    in_hand: Identifier | None = None,
) -> MergePlan:
    """What becomes of `kept` when `merged` is merged into it. Both have all sections.

    `topics_of` tells what is recorded of an address (State.topics). `kept` has at most so many devices and push tokens
    afterwards, None for any number, among them the device in hand. Raises NotLoadedError for a missing section,
    ValueError for one profile given twice.
    """
    if kept.pid == merged.pid:
        raise ValueError("a profile is not merged into itself")
    pair = _pair(kept, merged)
    changes: list[Change] = []
    lost: list[Change] = []
    core: dict[str, Any] = {**_core(kept), "aliases": dict(_core(kept).get("aliases", {}))}
    external_id = kept.external_id
    section: dict[str, Any] = kept.devices or {}
    devices: dict[str, Any] = {name: dict(section.get(name, {})) for name in ("devices", "tokens")}
    for path, leaf, kept_value, merged_value in leaves_of(kept, merged):
        heeded = policy == MERGE or leaf.always
        result = leaf.join(kept_value, merged_value, pair) if heeded else kept_value
        if not same(result, kept_value):
            changes.append(Change(path, kept_value, merged_value, result))
            if path[0] == "aliases":
                core["aliases"][path[1]] = result
            elif path[0] == "devices" and path[1] in devices:
                devices[path[1]][path[2]] = result
            elif path[0] in CORE_FIELDS:
                core[path[0]] = result
            elif path[0] == "external_id":
                external_id = result
        if merged_value not in (None, 0) and not same(result, merged_value) and may_lose(leaf, policy):
            lost.append(Change(path, kept_value, merged_value, result))
    if most_devices is not None and any(change.path[:2] in _BOUNDED for change in changes):
        _bound(devices, changes, lost, kept, merged, beyond(devices, most_devices, in_hand))
    afterwards = identifiers_from(external_id, core, devices)
    had = identifiers_of(merged)
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
        consent=email_consent(kept, merged, core.get("email"), topics_of) if policy == MERGE else None,
        groups=group_consents(kept, merged, core, topics_of) if policy == MERGE else (),
    )


def _bound(
    devices: dict[str, Any],
    changes: list[Change],
    lost: list[Change],
    kept: Profile,
    merged: Profile,
    paths: Iterator[Path],
) -> None:
    """Neither profile's device or push token at these places is there afterwards."""
    for path in list(paths):
        _, name, key = path
        sections: list[dict[str, Any]] = [profile.devices or {} for profile in (kept, merged)]
        had, came = (section.get(name, {}).get(key) for section in sections)
        del devices[name][key]
        changes[:] = [change for change in changes if change.path != path]
        if had is not None:
            changes.append(Change(path, had, came, None))
        if came is not None:
            lost.append(Change(path, had, came, None))


def perform(state: State, plan: MergePlan, origin: Origin, merge_id: str) -> None:
    """Do what the plan says, and keep a record under `merge_id`. The plan was made of the same state.

    Raises KeyError when one of the profiles is not there.
    """
    kept, merged = state.profiles[plan.kept_pid], state.profiles[plan.merged_pid]
    were_active = [activity.marks_of(kept), activity.marks_of(merged)]
    record = MergeRecord(
        merge_id,
        kept.pid,
        merged.pid,
        kept.braze_id,
        merged.braze_id,
        merged.created_us,
        origin,
        previous=state.section(kept, CORE).get("last_merge"),
        kept_updated=(kept.updated_us, kept.updated_index),
        expires_us=origin.us + state.settings.merge_undo_days * DAY,
        plan=plan,
        snapshot=merged,
    )
    with rekeyed(state, kept):
        for change in plan.changes:
            put(state, kept, change.path, deepcopy(change.result))
        put(state, kept, ("last_merge",), merge_id)
    if plan.policy == MERGE:
        activity.regrouped(state, were_active, [activity.marks_of(kept)])
    # Afterwards: an address that moved was somebody's all the time.
    state.fold(merged, kept, with_occurrences=plan.policy == MERGE, forget_us=record.expires_us)
    for consent in consents(plan):
        state.set_address(consent.address, consent.after)
    state.touch(kept, origin.us, origin.ordinal)
    state.keep(record)
    state.happened(kept.pid, Happening(MERGED, origin, merged.braze_id, merge_id))
    state.happened(merged.pid, Happening(MERGED_INTO, origin, kept.braze_id, merge_id))
    state.changes.counts.merged += 1


def growth(plan: MergePlan) -> int:
    """By how many bytes a merge makes the kept profile larger, but for keys of what holds the values."""
    return sum(_weight(change.path, change.result) - _weight(change.path, change.kept) for change in plan.changes)


def _weight(path: Path, value: Any) -> int:
    section = section_of(path[0])
    if section == 0 or value is None:
        return 0
    return sizes.of_name(path[-1]) + (sizes.of_attribute(value) if section == CUSTOM else sizes.of(value))


def get(profile: Profile, path: Path) -> Any:
    """The value at a place, or None."""
    name, *keys = path
    section = section_of(name)
    if section == 0:
        return getattr(profile, name)
    node: Any = getattr(profile, SECTION_NAMES[section])
    if node is None:
        raise NotLoadedError("section")
    for key in [name, *keys] if section == CORE else keys:
        if node is None:
            return None
        node = node.get(key)
    return node


def put(state: State, profile: Profile, path: Path, value: Any) -> None:
    """Set the value at a place. None removes it, and with it every object that is empty then. Identifiers are not
    updated: see `rekeyed`."""
    state.changed(profile, section_of(path[0]))
    place(profile, path, value)


def place(profile: Profile, path: Path, value: Any) -> None:
    """As `put`, for a profile that is in no state."""
    name, *keys = path
    section = section_of(name)
    if section == 0:
        setattr(profile, name, value)
        return
    node: dict[str, Any] | None = getattr(profile, SECTION_NAMES[section])
    if node is None:
        raise NotLoadedError("section")
    weigh = sizes.of_attribute if section == CUSTOM else sizes.of
    profile.size += _put(node, [name, *keys] if section == CORE else keys, value, weigh)


def _put(node: dict[str, Any], keys: Sequence[str], value: Any, weigh: Callable[[object], int]) -> int:
    """Set a value inside a node; by how many bytes that makes the node larger."""
    key, *rest = keys
    before = node.get(key)
    if rest:
        inner = dict(before or {})  # a new one: snapshots and plans may hold the present one
        grown = _put(inner, rest, value, weigh)
        value = inner or None
    else:
        grown = (0 if value is None else weigh(value)) - (0 if before is None else weigh(before))
    grown += ((value is not None) - (key in node)) * sizes.of_name(key)
    if value is None:
        node.pop(key, None)
    else:
        node[key] = value
    return grown


@contextmanager
def rekeyed(state: State, profile: Profile) -> Iterator[None]:
    """A block that changes a profile. Afterwards the index gets what identifiers it gained and loses those it lost."""
    before = identifiers_of(profile)
    yield
    after = identifiers_of(profile)
    for key in sorted(before - after):
        state.drop_identifier(profile, key)
    for key in sorted(after - before):
        state.add_identifier(profile, key)


def leaf_of(path: Path) -> Leaf:
    """The rule of the value at a place."""
    rule: Rule = RULES[path[0]]
    for key in path[1:]:
        rule = rule.rule if isinstance(rule, ByKey) else rule.rules[key] if isinstance(rule, Members) else rule
    if not isinstance(rule, Leaf):
        raise LookupError("no rule for this place")
    return rule


def section_of(field: str) -> int:
    """The section in which a field of RULES lies; 0 for the profile's own row."""
    if field in CORE_FIELDS:
        return CORE
    return next((section for section, name in SECTION_NAMES.items() if name == field), 0)


def leaves_of(kept: Profile, merged: Profile) -> Iterator[tuple[Path, Leaf, Any, Any]]:
    """(path, rule, kept value, merged value) of everything that the merged profile has."""
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


def may_lose(leaf: Leaf, policy: str) -> bool:
    """Whether a plan says what it loses of a value with this rule."""
    if leaf is KEEP:
        return False
    return leaf.loses or (policy != MERGE and not leaf.always)
