"""Merging a duplicate that a merge rule found. Time has passed since, so the rule is asked again."""

from app.domain import reasons
from app.domain.address_book import TooFewLoadedError
from app.domain.commands import MergeDuplicate
from app.domain.identity import combine
from app.domain.merging.match import left_alone, match
from app.domain.merging.merge import MERGE
from app.domain.profile import BRAZE
from app.domain.step import Step


def merge_duplicate(step: Step, command: MergeDuplicate) -> None:
    """Merge one profile into another, if both still share the identifier and the rule still keeps this one.

    The merges of a group are one decision: the first one of a request asks the rule, and the others follow. What the
    first merges do to the kept profile, such as the time of its last update, would else change the choice.
    """
    state = step.state
    merged, kept = (state.owner((BRAZE, "", id_)) for id_ in (command.merged_braze_id, command.kept_braze_id))
    if merged is None:
        step.refuse(command, reasons.PROFILE_NOT_FOUND, "merged")
        return
    if kept is None:
        step.refuse(command, reasons.PROFILE_NOT_FOUND, "kept")
        return
    if not {merged.pid, kept.pid} <= state.holders(command.shared):
        step.refuse(command, reasons.IDENTIFIER_CHANGED)
        return
    chosen, reason = _chosen(step, command)
    if chosen is None:
        step.refuse(command, reason)
    elif chosen != kept.pid:
        step.refuse(command, reasons.OTHER_CHOICE)
    else:
        combine(step, command, kept, merged, MERGE)


def _chosen(step: Step, command: MergeDuplicate) -> tuple[int | None, str]:
    """The number of the profile that the rule keeps, or None and why."""
    state, shared = step.state, command.shared
    if shared not in step.groups:
        holders = [state.profiles[pid] for pid in state.holders(shared)]
        unloaded = sum(rest.count for rest in state.unloaded.get(shared, ()))
        reason = left_alone(shared, len(holders) + unloaded, state.settings)
        if reason:
            step.groups[shared] = (None, reason)
        elif unloaded:
            raise TooFewLoadedError
        else:
            group = match(command.ties, command.prioritization, shared, holders, state.settings)
            step.groups[shared] = (None if group.keep is None else group.keep.pid, group.reason)
    return step.groups[shared]
