"""Traits of a person as attributes: the standard names of the API stand for reserved fields."""

from collections.abc import Mapping
from typing import Any, Final

from app.contract.attributes import FIELDS
from app.contract.errors import ObjectRefusedError
from app.domain.reasons import INVALID_VALUE, RESERVED_NAME

#: Standard traits that are a reserved field each. A reserved field may be named as it is as well.
NAMES: Final[Mapping[str, str]] = {
    "firstName": "first_name",
    "firstname": "first_name",
    "lastName": "last_name",
    "lastname": "last_name",
    "birthday": "dob",
    "avatar": "image_url",
    "timezone": "time_zone",
}
#: Members of the trait `address` that are a reserved field each.
ADDRESS: Final = {"city": "home_city", "country": "country"}
#: What says who is meant or how, which a call does elsewhere, and what needs an app or a group that it cannot name.
NOT_TRAITS: Final = frozenset(
    (
        "external_id", "user_alias", "braze_id", "alias_name", "alias_label", "_update_existing_only", "_merge_objects",
        "push_token_import", "push_tokens", "subscription_groups", "email_subscription_info",
    )
)  # fmt: skip


def attributes(traits: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """An attributes object without an identifier, and (trait, reason) of what is left out.

    A value that its field cannot hold costs that trait alone.
    """
    found: dict[str, Any] = {}
    ignored: list[tuple[str, str]] = []
    for name, value in traits.items():
        if name in NOT_TRAITS:
            ignored.append((name, RESERVED_NAME))
        elif name not in ("name", "address"):
            _set(found, ignored, name, NAMES.get(name, name), value)
    _name(found, ignored, traits)
    _address(found, ignored, traits)
    return found, ignored


def _name(found: dict[str, Any], ignored: list[tuple[str, str]], traits: Mapping[str, Any]) -> None:
    """A full name is split where the call says neither part."""
    if "name" not in traits:
        return
    name = traits["name"]
    if isinstance(name, str) and name.strip() and "first_name" not in found and "last_name" not in found:
        first, _, last = name.strip().partition(" ")
        _set(found, ignored, "name", "first_name", first)
        if last.strip():
            _set(found, ignored, "name", "last_name", last.strip())
    else:
        found["name"] = name


def _address(found: dict[str, Any], ignored: list[tuple[str, str]], traits: Mapping[str, Any]) -> None:
    """City and country are fields; the address as a whole is a custom attribute where it says more."""
    if "address" not in traits:
        return
    address = traits["address"]
    if not isinstance(address, dict):
        found["address"] = address
        return
    for member, field in ADDRESS.items():
        if member in address and field not in found:
            _set(found, ignored, f"address.{member}", field, address[member])
    if address.keys() - ADDRESS.keys():
        found["address"] = address


def _set(found: dict[str, Any], ignored: list[tuple[str, str]], trait: str, field: str, value: Any) -> None:
    reader = FIELDS.get(field)
    try:
        if reader is not None:
            reader(value)
    except ObjectRefusedError:
        ignored.append((trait, INVALID_VALUE))
    else:
        found[field] = value
