"""A row of a file that is imported: what it is, and the cells of a table as an object."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from app.contract import attributes, users
from app.contract import body as bodies
from app.contract.errors import ObjectRefusedError, RefusedError
from app.contract.portable import COLUMNS, EVENTS, INTEGER, JSON, NUMBER, PURCHASES, TEXT, TIME, USERS

ATTRIBUTES: Final = "attributes"
#: What a row may be.
KINDS: Final = (USERS, ATTRIBUTES, EVENTS, PURCHASES)

NO_JSON: Final = "is no JSON object"
TOO_LONG: Final = "is too long"
DELETED: Final = "names somebody who was deleted since the file was sent"
NOBODY_HERE: Final = "names nobody who is here"
UNSTORABLE: Final = "holds a number or a text that nothing can store"
BAD_CELL: Final = "'%s' cannot be read as %s"
BAD_MAPPING: Final = (
    'the mapping must be an object: field or custom_attributes.NAME -> column, or {"column", "type"} with a type of'
    " text, integer, number, boolean, time or json"
)

_BOOLEAN: Final = "boolean"
_TYPES: Final = (TEXT, INTEGER, NUMBER, _BOOLEAN, TIME, JSON)
_CUSTOM: Final = "custom_attributes"
#: Columns of the files that `onefold export` writes.
_KNOWN: Final = {**COLUMNS[PURCHASES], **COLUMNS[EVENTS], **COLUMNS[USERS]}
#: Columns of a purchase, where `purchases` and `price` are no summaries.
_IDENTIFIERS: Final = ("external_id", "braze_id", "user_alias", "email", "phone")

Mapped = Mapping[str, tuple[str, str]]
"""{field, or custom_attributes.NAME: (column, type)}"""


def read_mapping(text: bytes) -> Mapped:
    """The mapping of a table's columns. Raises RefusedError."""
    document = bodies.parse_object(text)
    if not document:
        raise RefusedError(400, BAD_MAPPING)
    found: dict[str, tuple[str, str]] = {}
    for target, source in document.items():
        entry = source if isinstance(source, dict) else {"column": source}
        column, type_ = entry.get("column"), entry.get("type", _KNOWN.get(target, TEXT))
        known = target.startswith(f"{_CUSTOM}.") or target in _KNOWN or target in attributes.FIELDS
        if not isinstance(column, str) or type_ not in _TYPES or not known:
            raise RefusedError(400, BAD_MAPPING)
        found[target] = (column, type_)
    return found


def of_cells(cells: Mapping[str, str], mapped: Mapped | None) -> dict[str, Any]:
    """An object of the cells of a line. An empty cell is no value. Without a mapping a column that is no field is a
    custom attribute. Raises ObjectRefusedError."""
    if mapped is None:
        mapped = {
            (name if name in _KNOWN or name in attributes.FIELDS else f"{_CUSTOM}.{name}"): (
                name,
                _KNOWN.get(name, TEXT),
            )
            for name in cells
        }
    found: dict[str, Any] = {}
    for target, (column, type_) in mapped.items():
        cell = cells.get(column)
        if not cell:
            continue
        value = _value(cell, type_, column)
        if target.startswith(f"{_CUSTOM}."):
            found.setdefault(_CUSTOM, {})[target.removeprefix(f"{_CUSTOM}.")] = value
        elif target == _CUSTOM and isinstance(value, dict):
            found.setdefault(_CUSTOM, {}).update(value)
        else:
            found[target] = value
    return found


def _value(cell: str, type_: str, column: str) -> object:
    try:
        if type_ == INTEGER:
            return int(cell)
        if type_ == NUMBER:
            return float(cell)
        if type_ == JSON:
            return bodies.parse(cell.encode())
    except (ValueError, RefusedError):
        raise ObjectRefusedError(BAD_CELL % (column, type_)) from None
    if type_ == _BOOLEAN:
        if cell.strip().lower() not in ("true", "false", "1", "0", "yes", "no"):
            raise ObjectRefusedError(BAD_CELL % (column, type_))
        return cell.strip().lower() in ("true", "1", "yes")
    return cell


def of_text(text: bytes) -> dict[str, Any]:
    """The object of a line. Raises ObjectRefusedError."""
    if not text:
        raise ObjectRefusedError(TOO_LONG)
    try:
        found = bodies.parse_object(text)
    except RefusedError:
        found = None
    if found is None:
        raise ObjectRefusedError(NO_JSON)
    return found


def kind_of(document: Mapping[str, Any]) -> str:
    """What a row is: a user as an export shows one, or an object of /users/track."""
    if "product_id" in document:
        return PURCHASES
    if "name" in document and "time" in document:
        return EVENTS
    both = "external_id" in document and "braze_id" in document
    return USERS if both or users.is_user(document) else ATTRIBUTES


def named(document: Mapping[str, Any]) -> set[str]:
    """By what a row names its user: external ids, braze_id and the names of aliases."""
    rest = document.get("onefold")
    former = rest.get("former_external_ids") if isinstance(rest, dict) else None
    aliases = document.get("user_aliases")
    entries = [document.get("user_alias"), *(aliases if isinstance(aliases, list) else ())]
    found = [document.get("external_id"), document.get("braze_id"), *(former if isinstance(former, list) else ())]
    found += [entry.get("alias_name") for entry in entries if isinstance(entry, dict)]
    return {value for value in found if isinstance(value, str)}


def tracked(document: dict[str, Any]) -> dict[str, Any]:
    """An object of /users/track, which names its profile once: files of `onefold export` do so twice."""
    if document.get("external_id") and "braze_id" in document:
        return {name: value for name, value in document.items() if name != "braze_id"}
    return document


def encoded(document: dict[str, Any]) -> bytes | None:
    """The object as JSON; None where it holds what no store can."""
    try:
        return msgspec.json.encode(document)
    except (TypeError, ValueError):
        return None
