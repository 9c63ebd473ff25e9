"""Operations on arrays: `add` and `remove` for scalars, `$add`, `$remove` and `$update` for objects (section 6).

What an operation costs depends on the stored array, not on what was sent. So it is counted before it is done.
"""

from typing import Any, Final, cast

from app.domain.values import (
    MAX_BYTES,
    MAX_CHARACTERS,
    MISSING,
    check_key,
    checked,
    checked_array,
    checked_element,
    checked_object,
    fitting,
    identity,
    invalid,
    is_object,
    merged,
    nodes,
    size,
)
from app.domain.work import Work

#: Elements times `$update` entries of one operation.
MAX_UPDATE_WORK: Final = 500_000

#: Looking at an element and replacing it; checking a member of what is merged into it.
_STEPS_PER_ELEMENT: Final = 8

OPERATORS: Final = frozenset(("$add", "$remove", "$update"))


def array(raw: list[object], most: int, *, drop_nulls: bool) -> list[object]:
    """The stored form of an array; of one without objects, the first `most` distinct elements."""
    if any(map(is_object, raw)):
        return fitting(checked_array(raw, 1, drop_nulls=drop_nulls))
    distinct: dict[object, object] = {}
    for element in _scalars(raw):
        distinct.setdefault(identity(element), element)
    return fitting(list(distinct.values())[:most])


def added_and_removed(current: object, operation: dict[str, object], most: int, work: Work) -> list[object]:
    """The array after `add` and then `remove`."""
    add = _scalars(operation.get("add", []))
    remove = _scalars(operation.get("remove", []))
    before = _to_change(current, creates="add" in operation)
    work.spend(1 + 4 * len(before))
    elements = {identity(element, position): element for position, element in enumerate(before)}
    for element in add:
        added = identity(element)
        elements.pop(added, None)  # a value already present moves to the end
        elements[added] = element
    if add and not any(map(is_object, elements.values())):
        for evicted in list(elements)[: max(len(elements) - most, 0)]:
            del elements[evicted]
    for element in remove:
        elements.pop(identity(element), None)
    result = list(elements.values())
    found = work.measured(result)
    if add and found > MAX_BYTES:
        invalid("value_too_large")
    work.keep(result, found, instead_of=current)
    return result


def _scalars(raw: object) -> list[object]:
    """The elements that an array of scalars takes; too long strings are left out, all else that is wrong raises."""
    if not isinstance(raw, list):
        invalid("not_an_array")
    result: list[object] = []
    for element in raw:
        if isinstance(element, str) and len(element) > MAX_CHARACTERS:
            continue
        if is_object(element):
            invalid("invalid_nested_value")
        result.append(checked_element(element, 1, drop_nulls=False))
    return result


def _to_change(current: object, *, creates: bool) -> list[object]:
    if isinstance(current, list):
        return current
    if current is not MISSING:
        invalid("not_an_array")
    if not creates:
        invalid("attribute_missing")
    return []


def changed_objects(
    current: object, operation: dict[str, object], work: Work, *, merge_objects: bool, drop_nulls: bool
) -> list[object]:
    """The array after `$add`, `$remove` and `$update`, in this order, whatever that of the JSON (section 6.3)."""
    if not operation.keys() <= OPERATORS:
        invalid("invalid_operation")
    add = [_new_object(entry, drop_nulls=drop_nulls) for entry in _entries(operation, "$add")]
    remove: dict[str, set[object]] = {}
    for entry in _entries(operation, "$remove"):
        key, wanted = _target(entry, 2)
        remove.setdefault(key, set()).add(identity(wanted))
    update = [
        (_target(entry, 3), _new_object(entry.get("$new_object"), drop_nulls=False))
        for entry in _entries(operation, "$update")
    ]
    before = _to_change(current, creates="$add" in operation)
    work.spend(1 + len(before) // 4)
    elements = [*before, *add]
    # With a comma behind each element, so one too many unless it is empty.
    total = work.measured(before) + bool(before) + sum(size(element) + 1 for element in add)
    if remove:
        work.spend(sum(4 + 4 * len(element) if isinstance(element, dict) else 1 for element in elements))
        removed = [element for element in elements if _is_meant(element, remove)]
        if removed:
            total -= sum(work.measured(element) + 1 for element in removed)
            elements = [element for element in elements if not _is_meant(element, remove)]
    if len(elements) * len(update) > MAX_UPDATE_WORK:
        invalid("value_too_large")
    for target, new in update:
        total += _update(elements, target, new, work, merge_objects=merge_objects)
    total -= bool(elements)
    if (add or update) and total > MAX_BYTES:
        invalid("value_too_large")
    work.keep(elements, total, instead_of=before)
    return elements


def _is_meant(element: object, remove: dict[str, set[object]]) -> bool:
    if not is_object(element):
        return False
    return any(
        identity(value) in remove[key]
        for key, value in element.items()
        if key in remove and not isinstance(value, list)
    )


def _update(
    elements: list[object], target: tuple[str, object], new: dict[str, object], work: Work, *, merge_objects: bool
) -> int:
    """Changes the elements that the target means; by how many bytes they are larger together."""
    key, wanted = target
    work.spend(1 + len(elements) // 2)
    # Whatever is identical is equal as well, and to look for equals is quick. No key is that of a time.
    equal = [n for n, element in enumerate(elements) if type(element) is dict and element.get(key) == wanted]
    work.spend(_STEPS_PER_ELEMENT * len(equal))
    meant, written, weight = identity(wanted), size(new), nodes(new)
    total = grown = 0
    for n in equal:
        element = cast("dict[str, Any]", elements[n])
        if identity(element[key]) != meant:
            continue
        changed = new
        if merge_objects:
            work.spend(_STEPS_PER_ELEMENT * weight + len(element))
            changed = merged(element, new, 1, drop_nulls=False)
            written = work.measured(changed)
        # Watched on the way: one large object merged into each of thousands of elements is gigabytes.
        total += written
        if total > MAX_BYTES:
            invalid("value_too_large")
        grown += written - work.measured(element)
        elements[n] = changed
    return grown


def _entries(operation: dict[str, object], operator: str) -> list[dict[str, object]]:
    entries = operation.get(operator, [])
    if not isinstance(entries, list):
        invalid("not_an_array")
    if not all(map(is_object, entries)):
        invalid("invalid_nested_value")
    return entries


def _new_object(value: object, *, drop_nulls: bool) -> dict[str, object]:
    if not is_object(value):
        invalid("invalid_operation")
    return checked_object(value, 2, drop_nulls=drop_nulls)


def _target(entry: dict[str, object], parts: int) -> tuple[str, object]:
    """What a `$remove` or `$update` entry points at: a key and its value."""
    key, value = entry.get("$identifier_key"), entry.get("$identifier_value")
    if len(entry) != parts or not isinstance(key, str) or isinstance(value, list) or is_object(value):
        invalid("invalid_operation")
    check_key(key)
    return key, checked(value, 1, drop_nulls=False)
