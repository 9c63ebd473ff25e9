"""Data points: what writes of custom attributes would cost where they are counted (spec attributes.md 8).

An attribute costs one, whether it changes anything or not. An array of objects costs one for each member of the objects
that are sent to be stored. What has no effect for a reason (see app.domain.reasons) costs nothing, and so does all that
is no custom attribute.
"""

from typing import Final

from app.domain.custom_attributes import TIME

_OPERATORS: Final = frozenset(("$add", "$remove", "$update"))


def cost(raw: object) -> int:
    """What an attribute costs that was sent with this value."""
    if isinstance(raw, dict):
        if _OPERATORS.isdisjoint(raw):
            return 1
        return _members(raw.get("$add")) + sum(
            _members([entry.get("$new_object")]) for entry in _listed(raw.get("$update")) if isinstance(entry, dict)
        )
    if isinstance(raw, list) and any(isinstance(element, dict) and TIME not in element for element in raw):
        return _members(raw)
    return 1


def _members(objects: object) -> int:
    return sum(len(element) for element in _listed(objects) if isinstance(element, dict))


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []
