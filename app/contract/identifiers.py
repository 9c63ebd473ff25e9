"""How an object of a request names a profile (spec track.md 4.1)."""

from typing import Any, Final

from app.contract import addresses
from app.contract.errors import ObjectRefusedError
from app.domain.profile import ALIAS, BRAZE, EMAIL, EXTERNAL, PHONE, Identifier

MAX_EXTERNAL_ID_BYTES: Final = 987
MAX_ALIAS_BYTES: Final = 236
MAX_BRAZE_ID_BYTES: Final = 255

REQUIRED: Final = "'external_id', 'braze_id', 'user_alias', 'email' or 'phone' is required"
ONLY_ONE: Final = "You must specify only one of 'external_id', 'user_alias' or 'braze_id'"
BAD_ALIAS: Final = "'user_alias' must have 'alias_name' and 'alias_label'"
BAD_EMAIL: Final = "The value provided for the 'email' field is not a valid email."
BAD_PHONE: Final = "The value provided for the 'phone' field is not a valid phone number."
TOO_LONG: Final = "'external_id' must be fewer than 988 bytes"


def text(value: object) -> str | None:
    """An identifier as text: strings as they are, numbers in decimal (real clients send them); else None."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value) if isinstance(value, float) else None


def external_id(value: object) -> str:
    """A usable external id. Raises ObjectRefusedError. Compared byte by byte, so nothing is stripped or folded."""
    sent = text(value)
    if sent is None or not sent.strip():
        raise ObjectRefusedError("'external_id' must be a non-empty string")
    if len(sent.encode()) > MAX_EXTERNAL_ID_BYTES:
        raise ObjectRefusedError(TOO_LONG, "EXTERNAL_USER_ID_TOO_LARGE")
    return sent


def alias(value: object, malformed: str = BAD_ALIAS) -> tuple[str, str]:
    """(label, name) of a user alias object. Raises ObjectRefusedError, `malformed` when a part is missing."""
    if not isinstance(value, dict):
        raise ObjectRefusedError(malformed)
    label, name = text(value.get("alias_label")), text(value.get("alias_name"))
    if not label or not name or not label.strip() or not name.strip():
        raise ObjectRefusedError(malformed)
    if len(label.encode()) > MAX_ALIAS_BYTES or len(name.encode()) > MAX_ALIAS_BYTES:
        raise ObjectRefusedError("'alias_name' and 'alias_label' must be at most 236 bytes each")
    return label, name


def email(value: object) -> str:
    address = addresses.email(value) if isinstance(value, str) else None
    if address is None:
        raise ObjectRefusedError(BAD_EMAIL, "EMAIL_BAD_FORMAT")
    return address


def phone(value: object, region: str = addresses.DEFAULT_REGION) -> str:
    number = text(value)
    found = addresses.phone(number, region) if number is not None else None
    if found is None:
        raise ObjectRefusedError(BAD_PHONE)
    return found


def braze_id(value: object) -> str:
    sent = text(value)
    if not sent or len(sent.encode()) > MAX_BRAZE_ID_BYTES:
        raise ObjectRefusedError("'braze_id' must be a string")
    return sent


def of(obj: dict[str, Any], region: str = addresses.DEFAULT_REGION) -> Identifier:
    """The identifier that addresses the profile. Raises ObjectRefusedError.

    null and "" count as not sent. A primary identifier beats e-mail and phone, and e-mail beats phone. `region` is
    that of a phone number without a `+`.
    """
    external = obj.get("external_id")
    if type(external) is str and external and "user_alias" not in obj and "braze_id" not in obj:
        return (EXTERNAL, "", external_id(external))  # nearly every object
    sent = [name for name in ("external_id", "user_alias", "braze_id") if is_sent(obj.get(name))]
    if len(sent) > 1:
        if "user_alias" in sent:
            alias(obj["user_alias"])  # one that is malformed is no second identifier, but wrong by itself
        raise ObjectRefusedError(ONLY_ONE)
    if sent:
        return _primary(sent[0], obj[sent[0]])
    if is_sent(obj.get("email")):
        return (EMAIL, "", email(obj["email"]))
    if is_sent(obj.get("phone")):
        return (PHONE, "", phone(obj["phone"], region))
    raise ObjectRefusedError(REQUIRED)


def _primary(name: str, value: object) -> Identifier:
    if name == "external_id":
        return (EXTERNAL, "", external_id(value))
    if name == "user_alias":
        label, alias_name = alias(value)
        return (ALIAS, label, alias_name)
    return (BRAZE, "", braze_id(value))


def is_sent(value: object) -> bool:
    """Whether an identifier counts as sent: null, "" and PHP's empty array do not (DECISIONS D63)."""
    return value is not None and value not in ("", [])
