"""POST /v1/flags: from bytes to commands and the answer. An endpoint of our own."""

from collections.abc import Mapping
from typing import Any, Final

from app.contract import addresses, elements, identifiers
from app.contract import body as bodies
from app.contract.checked import Checked, commands_checked
from app.contract.errors import ObjectRefusedError, RefusedError
from app.domain.commands import ChangeFlags
from app.domain.profile import BRAZE, GLOBAL_CONTROL_GROUP, SPAM_BLOCKED, TEST_USER, Identifier

ARRAY: Final = "flags"
#: Elements that one request may carry.
MAX_ELEMENTS: Final = 50
#: The flags that operators decide on, and their bits.
FLAGS: Final[Mapping[str, int]] = {
    "test_user": TEST_USER,
    "global_control_group": GLOBAL_CONTROL_GROUP,
    "spam_blocked": SPAM_BLOCKED,
}

NOT_ARRAY: Final = f"'{ARRAY}' must be an array of 1 to {MAX_ELEMENTS} objects"
NOTHING_VALID: Final = f"Valid data must be provided in the '{ARRAY}' field."
NO_FLAG: Final = "'test_user', 'global_control_group' or 'spam_blocked' is required"
NO_BOOLEAN: Final = "'%s' must be true or false"


def check(body: bytes, region: str = addresses.DEFAULT_REGION) -> Checked:
    """Check a request. `region`: of phone numbers without a `+`. Raises RefusedError when nothing can be processed."""
    array = (bodies.parse_object(body) or {}).get(ARRAY)
    if not isinstance(array, list) or not 0 < len(array) <= MAX_ELEMENTS:
        raise RefusedError(400, NOT_ARRAY)

    def read(_name: str, element: dict[str, Any], index: int) -> ChangeFlags:
        on, off = _bits(element)
        return ChangeFlags(index, _whose(element, region), on, off)

    commands, errors = elements.read_all({ARRAY: array}, read)
    return commands_checked(commands, elements.answer("flags_processed", commands, errors, NOTHING_VALID), errors)


def lift(braze_id: str) -> Checked:
    """The request that ends the block of a profile."""
    return commands_checked([ChangeFlags(0, (BRAZE, "", braze_id), 0, SPAM_BLOCKED)])


def _whose(element: dict[str, Any], region: str) -> Identifier:
    """Who is meant: as in /users/track, or by `alias_name` with `alias_label`. Raises ObjectRefusedError."""
    alias = {name: element[name] for name in ("alias_name", "alias_label") if identifiers.is_sent(element.get(name))}
    if alias and not identifiers.is_sent(element.get("user_alias")):
        element = element | {"user_alias": alias}
    return identifiers.of(element, region)


def _bits(element: dict[str, Any]) -> tuple[int, int]:
    """(bits to set, bits to clear). null counts as not sent."""
    on = off = 0
    for name, bit in FLAGS.items():
        value = element.get(name)
        if value is None:
            continue
        if not isinstance(value, bool):
            raise ObjectRefusedError(NO_BOOLEAN % name)
        on, off = (on | bit, off) if value else (on, off | bit)
    if not on and not off:
        raise ObjectRefusedError(NO_FLAG)
    return on, off
