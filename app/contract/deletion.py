"""POST /users/delete: from bytes to commands and the answer (spec export-delete-rename.md 3)."""

from collections.abc import Callable
from typing import Any, Final

from app.contract import addresses, elements, identifiers
from app.contract import body as bodies
from app.contract.checked import Checked, commands_checked
from app.contract.elements import MAX_ELEMENTS
from app.contract.errors import ObjectError, ObjectRefusedError, RefusedError
from app.domain.commands import Delete, Selector
from app.domain.profile import ALIAS, BRAZE, EMAIL, EXTERNAL, PHONE

TOO_MANY: Final = "The max number of ids per request was exceeded"
NOTHING_VALID: Final = (
    "Valid data must be provided in the 'external_ids', 'user_aliases', 'braze_ids', 'email_addresses', or "
    "'phone_numbers' fields."
)


def check(body: bytes, region: str = addresses.DEFAULT_REGION) -> Checked:
    """Check a request. `region`: of phone numbers without a `+`. Raises RefusedError when nothing can be processed."""
    document = bodies.parse_object(body) or {}
    arrays = elements.arrays(document, FORMS)
    if not arrays:
        raise elements.refused(NOTHING_VALID, document)
    if sum(map(len, arrays.values())) > MAX_ELEMENTS:
        raise RefusedError(400, TOO_MANY)
    commands: list[Delete] = []
    errors: list[ObjectError] = []
    for name, array in arrays.items():
        for index, element in enumerate(array):
            try:
                commands.append(Delete(name, index, _WHO[name](element, region)))
            except ObjectRefusedError as refused:
                sent = element if isinstance(element, dict) else {_NAMES.get(name, name): element}
                errors.append(elements.object_error(refused, name, index, sent))
    answer = elements.answer("deleted", commands, errors, NOTHING_VALID)
    return commands_checked(commands, answer, errors)


def _external(element: object, _region: str) -> Selector:
    return Selector((EXTERNAL, "", identifiers.external_id(elements.sound(element))))


def _alias(element: object, _region: str) -> Selector:
    return Selector((ALIAS, *identifiers.alias(elements.checked(element))))


def _braze(element: object, _region: str) -> Selector:
    return Selector((BRAZE, "", identifiers.braze_id(elements.sound(element))))


def _email(element: object, _region: str) -> Selector:
    entry: dict[str, Any] = elements.checked(element)
    key = (EMAIL, "", identifiers.email(entry.get("email")))
    return Selector(key, elements.prioritization(entry.get("prioritization")))


def _phone(element: object, region: str) -> Selector:
    entry: dict[str, Any] = elements.checked(element)
    key = (PHONE, "", identifiers.phone(entry.get("phone"), region))
    return Selector(key, elements.prioritization(entry.get("prioritization")))


#: What each array holds, in the order of effect.
FORMS: Final = {
    "external_ids": "strings",
    "user_aliases": "objects",
    "braze_ids": "strings",
    "email_addresses": "objects",
    "phone_numbers": "objects",
}
#: What a refusal calls an element that is a text.
_NAMES: Final = {"external_ids": "external_id", "braze_ids": "braze_id"}
#: How an element of each array is read.
_WHO: Final[dict[str, Callable[[object, str], Selector]]] = {
    "external_ids": _external,
    "user_aliases": _alias,
    "braze_ids": _braze,
    "email_addresses": _email,
    "phone_numbers": _phone,
}
