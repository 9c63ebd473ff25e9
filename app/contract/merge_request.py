"""POST /users/merge: from bytes to commands and the answer (spec merge.md 1). Any malformed element refuses all."""

from typing import Any, Final

from app.contract import addresses, elements, identifiers
from app.contract import body as bodies
from app.contract.checked import Checked, commands_checked
from app.contract.elements import MAX_ELEMENTS
from app.contract.errors import ObjectRefusedError, RefusedError
from app.domain.commands import Merge, Selector
from app.domain.profile import ALIAS, BRAZE, EMAIL, EXTERNAL, PHONE

NOT_AN_ARRAY: Final = "'merge_updates' must be an array of objects"
TOO_MANY: Final = "a single request may not contain more than 50 merge updates"
BAD_ELEMENT: Final = "'merge_updates' must only have 'identifier_to_merge' and 'identifier_to_keep'"
BAD_IDENTIFIER: Final = (
    "identifiers must be objects with an 'external_id' property that is a string, 'user_alias' property that is an "
    "object, 'email' property that is a string, or 'phone' property that is a string"
)
BAD_PRIORITIZATION: Final = (
    "'prioritization' must be an array containing 'identified', 'unidentified', 'most_recently_updated', or "
    "'least_recently_updated'"
)
_SIDES: Final = {"identifier_to_merge", "identifier_to_keep"}
_FORMS: Final = ("external_id", "user_alias", "braze_id", "email", "phone")


def check(body: bytes, region: str = addresses.DEFAULT_REGION) -> Checked:
    """Check a request. `region`: of phone numbers without a `+`. Raises RefusedError."""
    return commands_checked(read(body, region), b'{"message":"success"}')


def pair(merged_braze_id: str, kept_braze_id: str) -> list[Merge]:
    """One profile into another, by their braze_ids."""
    return [Merge(0, Selector((BRAZE, "", merged_braze_id)), Selector((BRAZE, "", kept_braze_id)))]


def read(body: bytes, region: str = addresses.DEFAULT_REGION) -> list[Merge]:
    """The pairs to merge, in order. Raises RefusedError."""
    document = bodies.parse_object(body) or {}
    updates = document.get("merge_updates")
    if not isinstance(updates, list) or not updates or not all(isinstance(update, dict) for update in updates):
        raise elements.refused(NOT_AN_ARRAY, document)
    if len(updates) > MAX_ELEMENTS:
        raise RefusedError(400, TOO_MANY)
    odd = next((update for update in updates if update.keys() != _SIDES), None)
    if odd is not None:
        raise elements.refused(BAD_ELEMENT, odd)
    return [
        Merge(index, _selector(update["identifier_to_merge"], region), _selector(update["identifier_to_keep"], region))
        for index, update in enumerate(updates)
    ]


def _selector(identifier: object, region: str) -> Selector:
    """Checks only the shape. An unreadable address or number matches nobody; applying reports it as
    `invalid_identifier`. Raises RefusedError.
    """
    if not isinstance(identifier, dict) or bodies.unsound(identifier) is not None:
        raise elements.refused(BAD_IDENTIFIER, identifier)
    sent = [name for name in _FORMS if elements.is_sent(identifier.get(name))]
    if len(sent) != 1:
        raise elements.refused(BAD_IDENTIFIER, identifier)
    value = identifier[sent[0]]
    if sent[0] in ("email", "phone"):
        return _by_address(sent[0], value, identifier, region)
    try:
        return Selector(_primary(sent[0], value))
    except ObjectRefusedError:
        raise elements.refused(BAD_IDENTIFIER, identifier) from None


def _by_address(name: str, value: Any, identifier: dict[str, Any], region: str) -> Selector:
    sent = identifiers.text(value)
    if not sent:
        raise elements.refused(BAD_IDENTIFIER, identifier)
    try:
        rules = elements.prioritization(identifier.get("prioritization"))
    except ObjectRefusedError:
        raise elements.refused(BAD_PRIORITIZATION, identifier) from None
    address = addresses.email(sent) if name == "email" else addresses.phone(sent, region)
    if address is None:
        return Selector(None, rules)
    return Selector((EMAIL if name == "email" else PHONE, "", address), rules)


def _primary(name: str, value: object) -> tuple[int, str, str]:
    if name == "external_id":
        return (EXTERNAL, "", identifiers.external_id(value))
    if name == "user_alias":
        return (ALIAS, *identifiers.alias(value))
    return (BRAZE, "", identifiers.braze_id(value))
