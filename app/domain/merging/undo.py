"""Undoing a merge: the merged profile comes back as it was, the kept one gives back what it got.

What was written to the kept profile since stays with it. A value that both the merge and a later write may have set
cannot be told apart: it is treated as the merge's, and named in the record.
"""

from copy import deepcopy
from dataclasses import replace
from typing import Any

from app.domain import activity, sizes
from app.domain.history import RESTORED, UNMERGED, Happening, Origin
from app.domain.identifiers import identifiers_of
from app.domain.merging.consents import consents, is_refusal
from app.domain.merging.devices import MOMENTS, beyond, given_up, identifier_at
from app.domain.merging.leaves import Path, Undone
from app.domain.merging.merge import MERGE, get, leaf_of, put, rekeyed
from app.domain.merging.plan import Consent, MergePlan, MergeRecord
from app.domain.profile import ALIAS, CORE, DEPRECATED, DEVICES, EXTERNAL, GROUP_FIELDS, Identifier, Profile
from app.domain.reasons import (
    ALREADY_UNDONE,
    IDENTIFIER_REUSED,
    KEPT_PROFILE_MERGED,
    LATER_MERGE_FIRST,
    MERGE_NOT_FOUND,
    TOO_OLD,
)
from app.domain.state import State


def undo(state: State, merge_id: str, origin: Origin) -> str:
    """Take a merge back. Returns the reason why that is impossible, "" when it was done."""
    record = state.record(merge_id)
    if record is None:
        return MERGE_NOT_FOUND
    if record.undone is not None:
        return ALREADY_UNDONE
    plan, snapshot = record.plan, record.snapshot
    if origin.us >= record.expires_us or plan is None or snapshot is None:
        return TOO_OLD
    kept = state.profiles.get(record.kept_pid)
    if kept is None:
        return KEPT_PROFILE_MERGED  # a deleted one would have taken the record with it
    if state.section(kept, CORE).get("last_merge") != record.id:
        return LATER_MERGE_FIRST
    if any(_taken(state, key, kept, plan) for key in identifiers_of(snapshot)):
        return IDENTIFIER_REUSED
    were_active = activity.marks_of(kept)
    record.unseparated = _separate(state, kept, record, plan)
    restored = deepcopy(snapshot)
    if plan.policy == MERGE:
        activity.regrouped(state, [were_active], [activity.marks_of(kept), activity.marks_of(restored)])
    restored.size = restored.size or sizes.of_profile(restored)
    _without_devices_of_others(state, restored)
    state.unfold(restored)
    record.undone, record.snapshot = origin, None
    state.changes.records.add(record.id)
    state.happened(kept.pid, Happening(UNMERGED, origin, record.merged_braze_id, record.id))
    state.happened(record.merged_pid, Happening(RESTORED, origin, record.kept_braze_id, record.id))
    return ""


def _taken(state: State, key: Identifier, kept: Profile, plan: MergePlan) -> bool:
    """Whether an identifier of the merged profile belongs to somebody who will not give it back."""
    if key[0] not in (EXTERNAL, DEPRECATED, ALIAS):
        return False
    names = [key] if key[0] == ALIAS else [(kind, "", key[2]) for kind in (EXTERNAL, DEPRECATED)]
    for name in names:
        holders = state.holders(name)
        if holders and not (holders == {kept.pid} and name == key and key in plan.moved):
            return True
    return False


def _without_devices_of_others(state: State, restored: Profile) -> None:
    """A device may have gone to somebody else since, who logged in on it; so may a push token. They stay there."""
    section: dict[str, Any] = restored.devices or {}
    for name in MOMENTS:
        for key, entry in list(section.get(name, {}).items()):
            identifier = identifier_at(("devices", name, key), entry)
            if identifier is not None and state.holders(identifier):
                del section[name][key]
                restored.size -= sizes.of_member(key, entry)
        if name in section and not section[name]:
            restored.size -= sizes.of_member(name, section.pop(name))


def _is_somebodys(state: State, kept: Profile, path: Path, value: Any) -> bool:
    """Whether a device or a push token, which the merge took from the kept profile, is somebody else's by now."""
    if path[1] not in MOMENTS:
        return False
    identifier = identifier_at(path, value)
    return identifier is not None and bool(state.holders(identifier) - {kept.pid})


def _separate(state: State, kept: Profile, record: MergeRecord, plan: MergePlan) -> list[str]:
    """Give back what came with the merge; the names of the values that could not be separated for sure."""
    written = (kept.updated_us, kept.updated_index) != (record.origin.us, record.origin.ordinal)
    unseparated = []
    with rekeyed(state, kept):
        for change in plan.changes:
            now = get(state, kept, change.path)
            value, exact = leaf_of(change.path).separate(
                Undone(change.kept, change.merged, change.result, now, written=written)
            )
            if not exact:
                unseparated.append(".".join(change.path))
            if change.path[0] == "devices" and value is not None and _is_somebodys(state, kept, change.path, value):
                value = None
            put(state, kept, change.path, deepcopy(value))
        put(state, kept, ("last_merge",), record.previous)
        if given_up(plan):  # they are back, and others may have come since
            for path in list(beyond(state.section(kept, DEVICES), state.settings.max_devices_per_profile)):
                put(state, kept, path, None)
    for consent in consents(plan):
        now = state.address(consent.address)
        # Perhaps nobody has the address at present: that says nothing about who set its state.
        if now is None or replace(now, forget_us=None) != consent.after:
            continue
        # An undo subscribes nobody: whether the person refused again meanwhile left no trace.
        if is_refusal(consent.after, consent.before):
            unseparated.append(_name_of(consent))
        else:
            before = consent.before and replace(consent.before, forget_us=now.forget_us)
            state.set_address(consent.address, before)
    if not written:
        kept.updated_us, kept.updated_index = record.kept_updated
    return unseparated


def _name_of(consent: Consent) -> str:
    channel, _, topic = consent.address
    return f"{GROUP_FIELDS[channel]}.{topic}" if topic else "email_subscribe"
