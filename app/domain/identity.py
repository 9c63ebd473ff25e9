"""What the commands about identity do (spec identify.md 5, merge.md 1.2, aliases.md, export-delete-rename.md 3 and 4).

A command without effect leaves a problem with its reason. Its client has already been told that it succeeded.
"""

from app.domain import guard, history, reasons, resolve, spam
from app.domain.commands import (
    Command,
    Delete,
    DeleteMarked,
    Identify,
    Merge,
    NewAlias,
    RemoveExternalId,
    RenameExternalId,
    UndoMerge,
    UpdateAlias,
)
from app.domain.merging.merge import MERGE, NONE, growth, perform, plan_merge
from app.domain.merging.undo import undo
from app.domain.profile import ALIAS, BRAZE, CORE, DEPRECATED, EXTERNAL, MARKED_FOR_DELETION, Identifier, Profile
from app.domain.step import Step


def identify(step: Step, command: Identify) -> None:
    state = step.state
    profile, reason = resolve.select(state, command.who)
    owner = state.owner((EXTERNAL, "", command.external_id))
    if profile is None:
        step.refuse(command, reason)
    elif _is_junk(step, (EXTERNAL, "", command.external_id), command.who.key):
        step.refuse(command, reasons.JUNK_IDENTIFIER)
    elif profile is owner:
        step.refuse(command, reasons.ALREADY_IDENTIFIED)
    elif profile.external_id is not None:
        step.refuse(command, reasons.IDENTIFIED_OTHERWISE)
    elif spam.is_blocked(profile):
        step.refuse(command, reasons.PROFILE_BLOCKED)
    elif owner is None and guard.is_full(profile, state.settings):
        step.refuse(command, reasons.TOO_MANY_IDENTIFIERS)
    elif owner is None:
        profile.external_id = command.external_id
        state.add_identifier(profile, (EXTERNAL, "", command.external_id))
        _touch(step, profile)
        step.happened(profile, history.IDENTIFIED)
        state.changes.counts.identified += 1
    elif _label_of(command) in _aliases(step, owner):
        step.refuse(command, reasons.LABEL_CONFLICT)
    elif combine(step, command, owner, profile, MERGE if command.merge else NONE):
        state.changes.counts.identified += 1


def _label_of(command: Identify) -> str | None:
    """The label of the alias that was named. Other aliases never cause a conflict (identify.md 5)."""
    key = command.who.key
    return key[1] if key is not None and key[0] == ALIAS else None


def merge(step: Step, command: Merge) -> None:
    merged, reason = resolve.select(step.state, command.merge)
    if merged is None:
        step.refuse(command, reason, "identifier_to_merge")
        return
    kept, reason = resolve.select(step.state, command.keep)
    if kept is None:
        step.refuse(command, reason, "identifier_to_keep")
    elif _is_junk(step, command.merge.key, command.keep.key):
        step.refuse(command, reasons.JUNK_IDENTIFIER)
    else:
        combine(step, command, kept, merged, MERGE)


def combine(
    step: Step,
    command: Command,
    kept: Profile,
    merged: Profile,
    policy: str,
    in_hand: Identifier | None = None,
) -> bool:
    """Merge one profile into another. False when one of them must be left alone. The device in hand goes along."""
    reason = guard.refusal(kept, merged, step.state.settings)
    if reason is not None:
        step.refuse(command, reason)
        return False
    most = step.state.settings.max_devices_per_profile
    plan = plan_merge(kept, merged, policy, step.state.topics, most, in_hand)
    if not guard.may_hold(kept, growth(plan), step.state.settings):
        step.refuse(command, reasons.PROFILE_FULL)
        return False
    perform(step.state, plan, step.origin(), step.merge_id())
    spam.check_merged(step, kept)
    for label, _, _ in plan.alias_conflicts:  # later writes by that alias reach nobody, which its owner wants to know
        step.skip(command, reasons.ALIAS_RETIRED, label)
    return True


def new_alias(step: Step, command: NewAlias) -> None:
    state = step.state
    if state.holders((ALIAS, command.label, command.name)):
        step.refuse(command, reasons.ALIAS_TAKEN)
        return
    if command.external_id is None:
        profile = step.new_profile()
    else:
        owner = state.owner((EXTERNAL, "", command.external_id))
        if owner is None:
            step.refuse(command, reasons.PROFILE_NOT_FOUND)
            return
        if spam.is_blocked(owner):
            step.refuse(command, reasons.PROFILE_BLOCKED)
            return
        if command.label in _aliases(step, owner):
            step.refuse(command, reasons.LABEL_TAKEN)
            return
        if guard.is_full(owner, state.settings):
            step.refuse(command, reasons.TOO_MANY_IDENTIFIERS)
            return
        profile = owner
        step.happened(profile, history.ALIAS_ADDED)
    state.add_alias(profile, command.label, command.name)
    _touch(step, profile)
    state.changes.counts.aliases += 1


def update_alias(step: Step, command: UpdateAlias) -> None:
    state = step.state
    old, new = (ALIAS, command.label, command.old_name), (ALIAS, command.label, command.new_name)
    profile = state.owner(old)
    if profile is None:
        step.refuse(command, reasons.ALIAS_NOT_FOUND)
    elif old == new:
        step.refuse(command, reasons.ALIAS_UNCHANGED)
    elif state.holders(new):
        step.refuse(command, reasons.ALIAS_TAKEN)
    else:
        state.drop_identifier(profile, old)
        state.add_alias(profile, command.label, command.new_name)
        _touch(step, profile)
        step.happened(profile, history.ALIAS_UPDATED)
        state.changes.counts.aliases += 1


def delete(step: Step, command: Delete) -> None:
    profile, reason = resolve.select(step.state, command.who)
    if profile is None:
        step.refuse(command, reason)
        return
    _remove(step, profile)


def delete_marked(step: Step, command: DeleteMarked) -> None:
    """The deletion of a segment was asked for some days before, and may have been cancelled since."""
    profile = step.state.owner((BRAZE, "", command.braze_id))
    if profile is None:
        step.refuse(command, reasons.PROFILE_NOT_FOUND)
    elif not profile.flags & MARKED_FOR_DELETION:
        step.refuse(command, reasons.NOT_MARKED)
    else:
        _remove(step, profile)


def _remove(step: Step, profile: Profile) -> None:
    step.state.remove(profile, step.erased_id(profile), step.origin())
    step.state.changes.counts.deleted += 1


def rename(step: Step, command: RenameExternalId) -> None:
    state = step.state
    current, new = (EXTERNAL, "", command.current), (EXTERNAL, "", command.new)
    if not state.holders(current):
        deprecated = state.holders((DEPRECATED, "", command.current))
        step.refuse(command, reasons.EXTERNAL_ID_DEPRECATED if deprecated else reasons.EXTERNAL_ID_NOT_FOUND)
    elif current == new:
        step.refuse(command, reasons.EXTERNAL_ID_UNCHANGED)
    elif state.owner(new) is not None:
        step.refuse(command, reasons.EXTERNAL_ID_TAKEN)
    else:
        profile = state.owner(current)
        assert profile is not None  # noqa: S101 - it was found above
        if guard.is_full(profile, state.settings):
            step.refuse(command, reasons.TOO_MANY_IDENTIFIERS)
            return
        state.drop_identifier(profile, current)
        profile.external_id = command.new
        state.add_identifier(profile, new)
        _set_deprecated(step, profile, [*_deprecated(step, profile), command.current])
        state.add_identifier(profile, (DEPRECATED, "", command.current))
        step.happened(profile, history.RENAMED)
        state.changes.counts.renamed += 1


def remove(step: Step, command: RemoveExternalId) -> None:
    state, key = step.state, (DEPRECATED, "", command.external_id)
    if state.holders((EXTERNAL, "", command.external_id)):
        step.refuse(command, reasons.EXTERNAL_ID_NOT_DEPRECATED)
        return
    profile = state.owner(key)
    if profile is None:
        step.refuse(command, reasons.EXTERNAL_ID_NOT_FOUND)
        return
    state.drop_identifier(profile, key)
    _set_deprecated(step, profile, [other for other in _deprecated(step, profile) if other != command.external_id])
    step.happened(profile, history.EXTERNAL_ID_REMOVED)
    state.changes.counts.renamed += 1


def undo_merge(step: Step, command: UndoMerge) -> None:
    reason = undo(step.state, command.merge_id, step.origin())
    if reason:
        step.refuse(command, reason)


def _is_junk(step: Step, *keys: Identifier | None) -> bool:
    """Whether one of the identifiers is what clients send for a missing value. Such a text never joins profiles."""
    return any(key is not None and guard.is_junk(key, step.state.settings) for key in keys)


def _touch(step: Step, profile: Profile) -> None:
    step.state.touch(profile, step.request.accepted_us, step.ordinal)


def _aliases(step: Step, profile: Profile) -> dict[str, str]:
    aliases: dict[str, str] = step.state.section(profile, CORE).get("aliases", {})
    return aliases


def _deprecated(step: Step, profile: Profile) -> list[str]:
    former: list[str] = step.state.section(profile, CORE).get("deprecated", [])
    return former


def _set_deprecated(step: Step, profile: Profile, values: list[str]) -> None:
    """Set the former external ids. The profile does not become the most recently updated one (spec README.md 6)."""
    step.state.set_core(profile, "deprecated", values or None)
