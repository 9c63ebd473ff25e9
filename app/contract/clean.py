"""What is certainly clean: types for one decode in C that bound depth, text and numbers, and short looks at the rest.

Of an object that has these types nothing can be refused or left out, so no value has to be looked at in Python. The
first tiers of /users/track (app.contract.track) and of SDK data (app.contract.sdk_clean) are made of them.
"""

import re
from typing import Annotated, Any, Final

import msgspec

from app.contract import addresses
from app.contract.attributes import FIELDS
from app.domain.numbers import MAX_INT

Scalar = None | bool | Annotated[int, msgspec.Meta(ge=-MAX_INT - 1, le=MAX_INT)] | float | str
Value = Scalar | list[Scalar | list[Scalar] | dict[str, Scalar]] | dict[str, Scalar | list[Scalar] | dict[str, Scalar]]
Object = dict[str, Value]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
PropertyName = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Price = Annotated[int, msgspec.Meta(ge=-(10**12), le=10**12)] | Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]
Quantity = Annotated[int, msgspec.Meta(ge=1, le=100)]

#: What is written back of a body up to this size cannot hold a value that is over the limit of 100 KB for one value.
MAX_BYTES: Final = 100 * 1024
#: Numbers alone take more bytes when they are written back (`1e18`), and those only with an exponent. Text and names
#: take no more than was sent: an escape is never shorter than its character.
_EXPONENT: Final = re.compile(rb"[0-9][eE]")
_MOST_BYTES_GAINED: Final = 16
_MOST_GROWTH: Final = 5  # `1e18,` becomes 20 bytes
#: Reserved fields whose value can be refused; `email` and identifiers are looked at.
_RISKY: Final = frozenset(
    (
        "user_alias",
        "braze_id",
        "email_subscribe",
        "push_subscribe",
        "current_location",
        "subscription_groups",
        "push_tokens",
        "push_token_import",
        "email_subscription_info",
    )
)
#: The bytes as they came do not say the region that a phone number was meant for.
_RISKY_ELSEWHERE: Final = _RISKY | {"phone"}
assert FIELDS.keys() >= _RISKY_ELSEWHERE  # noqa: S101 - a renamed field must not slip out of this list


def risky(region: str) -> frozenset[str]:
    """The fields of attributes that are not certainly clean, where phone numbers without a `+` are of this region."""
    return _RISKY if region == addresses.DEFAULT_REGION else _RISKY_ELSEWHERE


def are_attributes(obj: dict[str, Any], fields: frozenset[str]) -> bool:
    """Whether an Object of attributes has no field of `fields` (`risky`), and an e-mail that is one."""
    if not fields.isdisjoint(obj):
        return False
    email = obj.get("email")
    return email is None or (type(email) is str and addresses.is_email(email))


def most_bytes(body: bytes) -> int:
    """A bound for the size of the body's values in the form in which the readers measure them."""
    size = len(body)
    if size * _MOST_GROWTH <= MAX_BYTES:
        return size * _MOST_GROWTH
    rough = size + _MOST_BYTES_GAINED * (body.count(b"e") + body.count(b"E"))
    return rough if rough <= MAX_BYTES else size + _MOST_BYTES_GAINED * len(_EXPONENT.findall(body))
