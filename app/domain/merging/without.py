"""What a profile would be without one of the merges in it.

The merges that stand on the one that goes are looked at from the last one down to it: each plan tells what was there
before, so the kept profile of each is known as it was then, as far as its plan concerns it. The merge is then taken
back there, and the later ones are planned again, from the first one up. Wherever a plan has another result without the
merge, that is written into what there is now, as the rule of the value separates it: what was written since stays.
"""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from app.domain.history import Origin
from app.domain.merging.addresses import AddressesWithout
from app.domain.merging.consents import TopicsOf
from app.domain.merging.leaves import Leaf, Path, Undone, same
from app.domain.merging.merge import get, leaf_of, leaves_of, may_lose, place, plan_merge
from app.domain.merging.plan import Change, Consent, MergePlan, MergeRecord
from app.domain.merging.standing import Later, Standing
from app.domain.profile import SECTION_NAMES, Address, AddressState, Profile

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Replanned:
    """A later merge as it would have been."""

    record: MergeRecord
    plan: MergePlan
    snapshot: Profile
    previous: str | None
    kept_updated: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Without:
    """The profile that has everything, and the later merges, without the merge."""

    root: Profile
    #: Places where the profile may differ from what it is now.
    differing: list[Path]
    #: Places of it, and of profiles that later merges took away, that could not be separated for sure.
    unsure: list[Path]
    later: list[Replanned]
    #: What would be recorded of addresses, where it is something else now. None is nothing.
    addresses: dict[Address, AddressState | None]
    #: Whose activity the merge joined, as it is now and without the merge.
    active: tuple[Profile, Profile]


def copied(profile: Profile) -> Profile:
    """A profile that can be changed with `place` while this one stays as it is."""
    sections: dict[str, Any] = {name: dict(getattr(profile, name) or {}) for name in SECTION_NAMES.values()}
    return replace(profile, **sections)


def without(record: MergeRecord, plan: MergePlan, standing: Standing, topics_of: TopicsOf, joined: str) -> Without:
    """What would be if a merge had not been done. Nothing is changed.

    `topics_of` tells what is recorded now; `joined` is the policy that joins the activity of two profiles.
    """
    merges, book = standing.merges, AddressesWithout(topics_of)
    nows, befores, books = [standing.root], list[Profile](), list[AddressesWithout]()
    for each in reversed(merges):
        befores.append(_before(nows[-1], each))
        nows.append(befores[-1] if each.was_kept else each.snapshot)
        book.take_back(each.record.id, each.plan)
        books.append(book.copy())
    nows, befores, books = nows[::-1], befores[::-1], books[::-1]
    book.take_back(record.id, plan)
    updated = [*map(_updated_before, merges), (standing.root.updated_us, standing.root.updated_index)]
    level = _first(record, plan, nows[0], written=updated[0] != _moment(record.origin))
    later, unsure = list[Replanned](), dict[Path, None]()
    active: tuple[Profile, Profile] | None = None
    for n, each in enumerate(merges):
        kept, merged = (level.profile, each.snapshot) if each.was_kept else (befores[n], level.profile)
        told = plan_merge(befores[n], each.snapshot, each.plan.policy, books[n].topics)
        instead = plan_merge(kept, merged, each.plan.policy, book.topics)
        consents = book.redo(each.record.id, told, instead, each.plan)
        replanned = _patched(each.plan, told, instead, consents)
        own_kept_updated = n == 0 and each.was_kept and updated[0] == _moment(record.origin)
        later.append(
            Replanned(
                each.record,
                replanned,
                merged,
                record.previous if each.record.previous == record.id else each.record.previous,
                record.kept_updated if own_kept_updated else each.record.kept_updated,
            )
        )
        if not each.was_kept:
            unsure |= level.unsure
            if each.plan.policy != joined:
                active = active or (each.snapshot, merged)
        written = updated[n + 1] != _moment(each.record.origin)
        level = level.raised(nows[n + 1], each, befores[n], kept, replanned, written=written)
    unsure |= level.unsure
    return Without(
        level.profile, [*level.differing], [*unsure], later, book.differing, active or (standing.root, level.profile)
    )


@dataclass(slots=True)
class _Level:
    """Whoever has the profile, behind the merge or behind a later one, as they would be without the merge."""

    profile: Profile
    #: What the merged profile had, by place.
    merged: dict[Path, Any]
    #: Places where the profile may differ from what it was.
    differing: dict[Path, None] = field(default_factory=dict)
    unsure: dict[Path, None] = field(default_factory=dict)

    def put(self, path: Path, value: Any, *, exact: bool) -> None:
        place(self.profile, path, value)
        self.differing[path] = None
        if not exact:
            self.unsure[path] = None

    def raised(
        self, now: Profile, later: Later, before: Profile, kept: Profile, replanned: MergePlan, *, written: bool
    ) -> "_Level":
        """Behind a later merge. `before` is the profile that was kept in it, and `kept` the same without the merge.
        `now` is what it was when the next merge came, or is now, and `written` whether it was written to until then."""
        were, would = ({change.path: change.result for change in one.changes} for one in (later.plan, replanned))
        level = _Level(copied(now), self.merged)
        for path in dict.fromkeys([*(self.differing if later.was_kept else ()), *were, *would]):
            result = were[path] if path in were else get(before, path)
            wanted = would[path] if path in would else get(kept, path)
            if same(result, wanted):
                continue
            present = get(now, path)
            value, exact = _separated(leaf_of(path), wanted, self.merged.get(path), result, present, written=written)
            level.put(path, value, exact=exact)
            is_newer = same(value, present) and not same(present, result)
            if path in self.unsure and not is_newer:
                level.unsure[path] = None
        return level


def _first(record: MergeRecord, plan: MergePlan, now: Profile, *, written: bool) -> _Level:
    """Right behind the merge itself."""
    level = _Level(copied(now), {change.path: change.merged for change in plan.changes})
    for path, kept, merged, result in ((each.path, each.kept, each.merged, each.result) for each in plan.changes):
        value, exact = leaf_of(path).separate(Undone(kept, merged, result, get(now, path), written=written))
        level.put(path, value, exact=exact)
    if get(now, ("last_merge",)) == record.id:
        level.put(("last_merge",), record.previous, exact=True)
    if not written:
        level.profile.updated_us, level.profile.updated_index = record.kept_updated
    return level


def _separated(leaf: Leaf, wanted: Any, merged: Any, result: Any, present: Any, *, written: bool) -> tuple[Any, bool]:
    """What is there now, where the merges made `result` of what would have been `wanted`, and whether that is sure."""
    if result is None:  # a value was kept away
        return (present, True) if present is not None else (wanted, not written)
    return leaf.separate(Undone(wanted, merged, result, present, written=written))


def _before(now: Profile, later: Later) -> Profile:
    """The profile that was kept in a merge as it was right before. Where the plan has nothing to say, as it is now."""
    found, known = copied(now), set[Path]()
    for change in (*later.plan.changes, *later.plan.lost):
        if change.path not in known:
            known.add(change.path)
            place(found, change.path, change.kept)
    for path, leaf, kept, merged in list(leaves_of(found, later.snapshot)):
        # Both had a value that is neither changed nor lost.
        is_told = merged not in (None, 0) and may_lose(leaf, later.plan.policy)
        if is_told and path not in known and not same(kept, merged):
            place(found, path, merged)
    return found


def _patched(plan: MergePlan, told: MergePlan, instead: MergePlan, consents: tuple[Consent, ...]) -> MergePlan:
    """A plan that was performed, changed as `instead` differs from `told`: what both would be if made today."""
    return replace(
        plan,
        changes=_changes(plan.changes, told.changes, instead.changes),
        lost=_changes(plan.lost, told.lost, instead.lost),
        moved=tuple(sorted(_members(plan.moved, told.moved, instead.moved))),
        retired=tuple(sorted(_members(plan.retired, told.retired, instead.retired))),
        alias_conflicts=tuple(_members(plan.alias_conflicts, told.alias_conflicts, instead.alias_conflicts)),
        consent=next((each for each in consents if not each.address[2]), None),
        groups=tuple(each for each in consents if each.address[2]),
    )


def _changes(plan: Iterable[Change], told: Iterable[Change], instead: Iterable[Change]) -> tuple[Change, ...]:
    result, was, is_ = ({change.path: change for change in changes} for changes in (plan, told, instead))
    for path in dict.fromkeys([*was, *is_]):
        if path not in is_:
            result.pop(path, None)
        elif was.get(path) != is_[path]:
            result[path] = deepcopy(is_[path])  # its values may be those of a profile that goes on changing
    return tuple(result.values())


def _members(plan: Iterable[_T], told: Iterable[_T], instead: Iterable[_T]) -> list[_T]:
    was, is_ = set(told), set(instead)
    kept = [each for each in plan if each in is_ or each not in was]
    return [*kept, *(each for each in instead if each not in was and each not in kept)]


def _updated_before(later: Later) -> tuple[int, int]:
    """The last write to whoever had the profile before a later merge."""
    if later.was_kept:
        return later.record.kept_updated
    return later.snapshot.updated_us, later.snapshot.updated_index


def _moment(origin: Origin) -> tuple[int, int]:
    return origin.us, origin.ordinal
