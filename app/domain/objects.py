"""Merging into a stored object (`_merge_objects`) at the cost of what was sent, not of what is stored.

A request may name one object a hundred thousand times. So the first merge of a request copies the object, and the
others change the copy, whose size is kept in step.
"""

from typing import Any, Final

from app.domain.reasons import PROFILE_FULL
from app.domain.values import MAX_BYTES, MISSING, checked_object, invalid, is_object, size
from app.domain.work import BYTES_PER_STEP, Draft, Work

#: Checking, measuring and writing a member of a patch.
_STEPS_PER_MEMBER: Final = 8


def merge(current: dict[str, Any], patch: dict[str, object], work: Work, *, drop_nulls: bool) -> dict[str, Any]:
    """The object with the patch merged into it: `current` itself when it is a draft of the request, else a new draft.

    Raises InvalidError or TooMuchWorkError, and has changed nothing then.
    """
    checked = checked_object(patch, 1, drop_nulls=drop_nulls)
    held = work.measured(current)
    grown = _growth(current, patch, checked, work)
    if held + grown > MAX_BYTES:
        invalid("value_too_large")
    if 0 < grown > work.room:
        invalid(PROFILE_FULL)
    draft = work.draft(current) or _drafted(current, held, work)
    _write(draft.value, patch, checked)
    draft.size += grown
    value: dict[str, Any] = draft.value
    return value


def _drafted(value: dict[str, Any], held: int, work: Work) -> Draft:
    work.spend(held // BYTES_PER_STEP)  # copying takes about as long as measuring
    return work.keep(_copied(value), held)


def _copied(value: dict[str, Any]) -> dict[str, Any]:
    """A copy of an object with the objects that a merge can change; arrays are only ever replaced."""
    copy = value.copy()
    for key, member in value.items():
        if type(member) is dict and is_object(member):
            copy[key] = _copied(member)
    return copy


def _growth(base: dict[str, Any], patch: dict[str, object], checked: dict[str, Any], work: Work) -> int:
    """By how many bytes the patch makes the object larger. `checked` is the patch without its nulls."""
    work.spend(_STEPS_PER_MEMBER * len(patch) + 1)
    grown, members = 0, len(base)
    for key, value in patch.items():
        old = base.get(key, MISSING)
        if is_object(old) and is_object(value):
            grown += _growth(old, value, checked[key], work)
            continue
        if old is not MISSING:
            grown -= size(key) + 1 + (work.measured(old) if isinstance(old, (dict, list)) else size(old))
            members -= 1
        if value is not None:
            grown += size(key) + 1 + size(checked[key])
            members += 1
    return grown + max(members - 1, 0) - max(len(base) - 1, 0)  # the commas


def _write(base: dict[str, Any], patch: dict[str, object], checked: dict[str, Any]) -> None:
    for key, value in patch.items():
        old = base.get(key)
        if value is None:
            base.pop(key, None)
        elif is_object(old) and is_object(value):
            _write(old, value, checked[key])
        else:
            base[key] = checked[key]
