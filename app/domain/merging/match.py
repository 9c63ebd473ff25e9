"""Merge rules: which profiles that share an identifier are merged, and into whom (spec merge.md 5).

A rule is a function of the profiles that share an identifier. It keeps one of them, and all others are merged into it:

1. Profiles of the control group, and those that are blocked or marked for deletion, are left alone.
2. Where some of the rest have an external id, one of these is kept.
3. They are put in order by a time, newest or oldest first; who has no such time comes last.
4. The first one is kept, unless the second one is equal to it: then nobody is merged.

Nothing is decided about a group that is too large, nor about an address that people type who have none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.domain import guard
from app.domain.commands import MergeDuplicate
from app.domain.profile import GLOBAL_CONTROL_GROUP, MARKED_FOR_DELETION, SPAM_BLOCKED, Identifier, Profile
from app.domain.reasons import (
    BEING_DELETED,
    IN_CONTROL_GROUP,
    JUNK_IDENTIFIER,
    PROFILE_BLOCKED,
    TIED,
    TOO_MANY_HOLDERS,
)
from app.domain.settings import ApplySettings

# The values of `resolve_ties_using`, and of `prioritization`.
CREATED_AT: Final = "created_at"
UPDATED_AT: Final = "updated_at"
LAST_SESSION: Final = "last_session"
TIES: Final = (CREATED_AT, UPDATED_AT, LAST_SESSION)
NEWEST: Final = "newest"
OLDEST: Final = "oldest"
PRIORITIZATIONS: Final = (NEWEST, OLDEST)

#: Flags of profiles that are left alone, and why.
_EXCLUDED: Final = {
    GLOBAL_CONTROL_GROUP: IN_CONTROL_GROUP,
    MARKED_FOR_DELETION: BEING_DELETED,
    SPAM_BLOCKED: PROFILE_BLOCKED,
}

#: What a workspace may set `max_duplicates` to: up to here a worker loads every profile that has an address.
MAX_GROUP: Final = 100


@dataclass(frozen=True, slots=True)
class MergeRule:
    """How duplicates are found, and which of them is kept."""

    #: EMAIL or PHONE.
    kind: int
    #: One of TIES.
    ties: str = UPDATED_AT
    #: One of PRIORITIZATIONS.
    prioritization: str = NEWEST


@dataclass(frozen=True, slots=True)
class Group:
    """Profiles that share an identifier, and what a rule says of them."""

    shared: Identifier
    #: None: nothing is merged, for `reason`.
    keep: Profile | None
    #: Who is merged into it, in this order: the longest ago updated one first.
    merge: tuple[Profile, ...] = ()
    #: Who is left alone while the others are merged, and why.
    alone: tuple[tuple[Profile, str], ...] = ()
    reason: str = ""
    #: How many share it.
    size: int = 0
    #: All of them, the longest ago updated one first; none where nothing depends on who they are.
    members: tuple[Profile, ...] = ()


def match(
    ties: str, prioritization: str, shared: Identifier, holders: Sequence[Profile], settings: ApplySettings
) -> Group:
    """What the rule says of all the profiles that share an identifier. No section of them is looked at."""
    reason = left_alone(shared, len(holders), settings)
    if reason:
        return Group(shared, None, reason=reason, size=len(holders))
    members = tuple(sorted(holders, key=lambda profile: profile.recency))
    told = [(profile, _exclusion(profile)) for profile in members]
    alone = tuple((profile, why) for profile, why in told if why)
    there = [profile for profile, why in told if not why]
    group = Group(shared, None, alone=alone, size=len(members), members=members)
    if len(there) < 2:
        return replace(group, reason=alone[0][1] if alone else "")
    newest = prioritization == NEWEST
    candidates = [profile for profile in there if profile.external_id is not None] or there
    first, *others = sorted(candidates, key=lambda profile: _place(profile, ties, newest=newest))
    if others and _place(first, ties, newest=newest) == _place(others[0], ties, newest=newest):
        return replace(group, reason=TIED)
    return replace(group, keep=first, merge=tuple(profile for profile in there if profile.pid != first.pid))


def left_alone(shared: Identifier, holders: int, settings: ApplySettings) -> str:
    """Why nobody is merged by an identifier that so many share, whoever they are; "" where that depends on them."""
    if guard.is_placeholder(shared, settings):
        return JUNK_IDENTIFIER
    return TOO_MANY_HOLDERS if holders > min(settings.max_duplicates, MAX_GROUP) else ""


def commands(rule: MergeRule, group: Group, index: int = 0) -> list[MergeDuplicate]:
    """The merges of a group, in the order of effect, the first one with this index."""
    if group.keep is None:
        return []
    kept = group.keep.braze_id
    return [
        MergeDuplicate(index + n, group.shared, profile.braze_id, kept, rule.ties, rule.prioritization)
        for n, profile in enumerate(group.merge)
    ]


def _exclusion(profile: Profile) -> str:
    return next((reason for flag, reason in _EXCLUDED.items() if profile.flags & flag), "")


def _place(profile: Profile, ties: str, *, newest: bool) -> tuple[int, int, int]:
    """Orders the profiles that may be kept; who comes first is kept."""
    if ties == CREATED_AT:
        time: tuple[int, int] | None = (profile.created_us, 0)
    elif ties == UPDATED_AT:
        time = (profile.updated_us, profile.updated_index)
    else:
        time = None if profile.last_session_us is None else (profile.last_session_us, 0)
    if time is None:
        return (1, 0, 0)
    return (0, -time[0], -time[1]) if newest else (0, *time)
