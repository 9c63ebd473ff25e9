"""How large a profile is: the bytes that its bound counts (DECISIONS.md D73).

A function of the profile alone, so that a redo, a replay and another store count the same. It is near to what is stored
as JSON, and cheap to keep: each change says by how much it makes the profile larger, and nothing is encoded for it.

A number counts as NUMBER bytes, whatever its digits, unless it stands inside an array or object of a custom attribute.
So what is counted on in place (events, orders, sums) never makes a profile larger.
"""

from collections.abc import Mapping
from typing import Any, Final

from app.domain.profile import CUSTOM, SECTION_NAMES, Profile
from app.domain.values import size

NUMBER: Final = 16
#: What a profile without any section counts. So the size of no profile is 0, which says that it was never counted.
ROW: Final = 128
#: Colon and comma.
_MEMBER: Final = 2

_ABSENT: Final = object()


def of_name(name: str) -> int:
    """Bytes of the name of an attribute, or of the key of anything else, without its value."""
    return size(name) + _MEMBER


def of_attribute(value: object) -> int:
    """Bytes of the value of a custom attribute: of an array or object those of its JSON."""
    return size(value) if isinstance(value, (str, list, dict)) else NUMBER


def of(value: object) -> int:
    """Bytes of a value in any other section, without the name under which it lies. None is no value."""
    if value is None:
        return 0
    if isinstance(value, str):
        return size(value)
    if isinstance(value, dict):
        return sum(of_name(key) + of(member) for key, member in value.items())
    if isinstance(value, (list, tuple)):
        return _MEMBER + sum(1 + of(element) for element in value)
    return NUMBER


def of_member(name: str, value: object) -> int:
    """Bytes of a member of any other section, with its name. None is no member."""
    return 0 if value is None else of_name(name) + of(value)


def of_profile(profile: Profile) -> int:
    """Bytes of a profile of which all sections are loaded."""
    total = ROW
    for section, name in SECTION_NAMES.items():
        content: dict[str, Any] = getattr(profile, name)
        if section == CUSTOM:
            total += sum(of_name(key) + of_attribute(value) for key, value in content.items())
        else:
            total += of(content)
    return total


def growth(before: Mapping[str, Any], after: Mapping[str, Any]) -> int:
    """By how many bytes `after` is larger, for any section but `custom`. An object
    that both have is not looked into."""
    grown = 0
    for key, value in after.items():
        old = before.get(key, _ABSENT)
        if old is value:
            continue
        if isinstance(old, dict) and isinstance(value, dict):
            grown += growth(old, value)
        else:
            grown += of(value) + of_name(key) - (0 if old is _ABSENT else of(old) + of_name(key))
    return grown - sum(of(old) + of_name(key) for key, old in before.items() if key not in after)
