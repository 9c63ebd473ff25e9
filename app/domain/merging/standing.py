"""The merges that stand on another one: those that came after it into whoever has its kept profile.

A merge that is not the last one is taken out from under them. How many may stand on it is bounded, since all their
records are held and written at once.
"""

from dataclasses import dataclass
from typing import Final

from app.domain import sizes
from app.domain.merging.plan import MergePlan, MergeRecord
from app.domain.profile import CORE, Profile
from app.domain.reasons import LATER_MERGE_TOO_OLD, TOO_MANY_LATER_MERGES
from app.domain.state import State

#: Merges that may stand on one that is taken out.
MAX_LATER: Final = 100


@dataclass(frozen=True, slots=True)
class Later:
    """A merge that stands on another one, with what an undo needs of it."""

    record: MergeRecord
    plan: MergePlan
    snapshot: Profile
    #: Whether whoever had the profile kept it in this merge; False: was merged into somebody else.
    was_kept: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """All that stands on a merge, in the order in which it was done, and the profile that has everything now."""

    merges: tuple[Later, ...]
    root: Profile


def most_bytes(max_profile_bytes: int) -> int:
    """How large the profiles may be that later merges took away, together: as large as one profile may be."""
    return 2 * max_profile_bytes


def standing_on(state: State, record: MergeRecord, us: int) -> Standing | str:
    """What stands on a merge at a moment, or the reason why it cannot be taken out from under it."""
    following: dict[tuple[int, str | None], MergeRecord] = {}
    away: dict[int, MergeRecord] = {}
    for each in state.records.values():
        if each is not None and each.undone is None:
            following[each.kept_pid, each.previous] = each
            away[each.merged_pid] = each
    most = most_bytes(state.settings.max_profile_bytes)
    pid, last, found, size = record.kept_pid, record.id, list[Later](), 0
    while True:
        step = following.get((pid, last))
        was_kept = step is not None
        if step is None:
            root = state.profiles.get(pid)
            if root is not None:
                is_whole = state.section(root, CORE).get("last_merge") == last
                return Standing(tuple(found), root) if is_whole else LATER_MERGE_TOO_OLD
            step = away.get(pid)
        # The record may be gone by now. What is known for sure is that it was too old then.
        if step is None or step.plan is None or step.snapshot is None or us >= step.expires_us:
            return LATER_MERGE_TOO_OLD
        if not was_kept and (step.snapshot.core or {}).get("last_merge") != last:
            return LATER_MERGE_TOO_OLD
        found.append(Later(step, step.plan, step.snapshot, was_kept))
        size += step.snapshot.size or sizes.of_profile(step.snapshot)
        if len(found) > MAX_LATER or size > most:
            return TOO_MANY_LATER_MERGES
        pid, last = step.kept_pid, step.id
