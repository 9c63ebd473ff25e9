"""POST /users/identify: from bytes to commands and the answer (spec identify.md 2 and 3)."""

from typing import Any, Final

from app.contract import addresses, elements, identifiers
from app.contract import body as bodies
from app.contract.checked import Checked, commands_checked
from app.contract.elements import MAX_ELEMENTS
from app.contract.errors import ObjectRefusedError, RefusedError
from app.domain.commands import Identify, Selector
from app.domain.profile import ALIAS, EMAIL, PHONE

ALIASES: Final = "aliases_to_identify"
EMAILS: Final = "emails_to_identify"
PHONES: Final = "phone_numbers_to_identify"
#: In the order of effect.
ARRAYS: Final = (ALIASES, EMAILS, PHONES)

NOT_ARRAYS: Final = f"'{ALIASES}', '{EMAILS}' or '{PHONES}' must be an array of objects"
TOO_MANY: Final = "The max number of external_ids and aliases per request was exceeded"
BAD_BEHAVIOR: Final = "'merge_behavior' must be one of 'none' or 'merge'"
NOTHING_VALID: Final = f"Valid data must be provided in the '{ALIASES}', '{EMAILS}' or '{PHONES}' fields."
NO_EXTERNAL_ID: Final = "'external_id' is required"


def check(body: bytes, region: str = addresses.DEFAULT_REGION) -> Checked:
    """Check a request. `region`: of phone numbers without a `+`. Raises RefusedError when nothing can be processed."""
    document = bodies.parse_object(body) or {}
    arrays = elements.arrays(document, dict.fromkeys(ARRAYS, "objects"))
    if not arrays:
        raise elements.refused(NOT_ARRAYS, document)
    if sum(map(len, arrays.values())) > MAX_ELEMENTS:
        raise RefusedError(400, TOO_MANY)
    behavior = document.get("merge_behavior")
    if behavior not in (None, "merge", "none"):
        raise elements.refused(BAD_BEHAVIOR, document)

    def read(name: str, element: dict[str, Any], index: int) -> Identify:
        external_id, who = _external_id(element), _WHO[name](element, region)
        return Identify(name, index, external_id, who, behavior != "none")

    commands, errors = elements.read_all(arrays, read)
    answer = elements.answer("aliases_processed", commands, errors, NOTHING_VALID)
    return commands_checked(commands, answer, errors)


def _external_id(element: dict[str, Any]) -> str:
    value = element.get("external_id")
    if not identifiers.is_sent(value):
        raise ObjectRefusedError(NO_EXTERNAL_ID)
    return identifiers.external_id(value)


def _alias(element: dict[str, Any], _region: str) -> Selector:
    return Selector((ALIAS, *identifiers.alias(element.get("user_alias"))))


def _email(element: dict[str, Any], _region: str) -> Selector:
    key = (EMAIL, "", identifiers.email(element.get("email")))
    return Selector(key, elements.prioritization(element.get("prioritization")))


def _phone(element: dict[str, Any], region: str) -> Selector:
    key = (PHONE, "", identifiers.phone(element.get("phone"), region))
    return Selector(key, elements.prioritization(element.get("prioritization")))


_WHO: Final = {ALIASES: _alias, EMAILS: _email, PHONES: _phone}
