"""Which identifiers a request names: of a stored one by its commands, of a refused one by the members of its body.

A text that no identifier can be is a name too where it was refused for just that: it is kept as it was sent.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any, Final

import msgspec

from app.contract import addresses, identifiers, stored
from app.contract.errors import ObjectError
from app.contract.kinds import SDK, TRACK, TRACKING
from app.domain.commands import Command
from app.domain.ids import lasting
from app.domain.named import identifiers_named
from app.domain.profile import ALIAS, BRAZE, DEVICE, EMAIL, EXTERNAL, PHONE, Identifier

#: Identifiers of one refused request that are kept.
MOST_OF_REFUSED: Final = 100
#: JSON values of a refused body that are looked at.
_MOST_VALUES: Final = 10_000
DIGEST_BYTES: Final = 8

Place = tuple[str, int]
"""(input_array, index) of an object."""

#: Members of the bodies of all endpoints that hold an identifier, or an array of them.
_MEMBERS: Final[Mapping[str, int]] = {
    "external_id": EXTERNAL,
    "external_ids": EXTERNAL,
    "current_external_id": EXTERNAL,
    "new_external_id": EXTERNAL,
    "user_id": EXTERNAL,
    "userId": EXTERNAL,
    "previousId": EXTERNAL,
    "device_id": DEVICE,
    "anonymousId": DEVICE,
    "braze_id": BRAZE,
    "braze_ids": BRAZE,
    "email": EMAIL,
    "emails": EMAIL,
    "email_address": EMAIL,
    "email_addresses": EMAIL,
    "phone": PHONE,
    "phones": PHONE,
    "phone_number": PHONE,
    "phone_numbers": PHONE,
}
#: Members that hold the name of an alias, beside `alias_label`.
_ALIAS_NAMES: Final = ("alias_name", "old_alias_name", "new_alias_name")


def named_by(kind: int, codec: int, body: bytes) -> Iterator[tuple[Command, frozenset[Identifier]]]:
    """Each command of a stored request, with whom it names. Nothing for a form that this version cannot read."""
    try:
        commands = stored.commands(kind, *stored.opened(codec, body)[1:])
    except ValueError:
        return
    for command in commands:
        yield command, identifiers_named(command)


def places_naming(kind: int, codec: int, body: bytes, wanted: Identifier) -> list[Place] | None:
    """Where a stored request names an identifier, in the order of effect; None where it does not."""
    found = [
        (command.input_array, command.index)
        for command, named in named_by(kind, codec, body)
        if _is_among(wanted, named)
    ]
    return list(dict.fromkeys(found)) or None


def _is_among(wanted: Identifier, found: frozenset[Identifier]) -> bool:
    """A device is looked for by its id alone, and stands in a request with its app."""
    if wanted[0] != DEVICE:
        return wanted in found
    return any(kind == DEVICE and value == wanted[2] for kind, _, value in found)


# A look at bytes tells nearly always that a body does not name somebody, in a hundredth of the time of decoding it.
# What it may not tell of is decoded: letters and digits of ASCII that are escaped, characters outside of ASCII where
# these may become others (addresses), and numbers that are written in another way than they are kept.
_ESCAPED: Final = re.compile(rb"\\u00[0-7]")
_ODD_NUMBERS: Final = re.compile(rb"[0-9][eE][-+]?[0-9]|[0-9]{15}\.|\.[0-9]{15}")
_RUNS: Final = re.compile(rb"[A-Za-z0-9]+")
_RUNS_OF_ADDRESSES: Final = re.compile(rb"[A-Za-z0-9@._+-]+")
_NUMBER: Final = re.compile(r"-?[0-9.eE+-]+")
_NOT_DIGITS: Final = bytes(byte for byte in range(256) if not 48 <= byte < 58)
#: Digits at the end of a number are the same however it is written.
_TAIL: Final = 6
#: Kinds that are stored as clients sent them. The others hold commands, whose identifiers are as they are compared.
_AS_SENT: Final = frozenset((TRACK, SDK, TRACKING))


def may_name(wanted: Identifier) -> Callable[[int, bytes], bool]:
    """A look at (kind, body) of a stored request. False: it does not name the identifier; True: it may."""
    kind, _, value = wanted
    if kind == PHONE:
        return _may_name_phone(value[-_TAIL:].encode())
    runs = _RUNS_OF_ADDRESSES if kind == EMAIL else _RUNS
    run = max(runs.findall(value.encode()), key=len, default=b"")
    is_number = kind != EMAIL and _NUMBER.fullmatch(value) is not None
    if not run or (is_number and not (value.isdigit() and len(value) < 15)):
        return lambda _stored_kind, _body: True
    if kind == EMAIL:
        return _may_name_email(run.lower())

    def look(stored_kind: int, body: bytes) -> bool:
        if run in body:
            return True
        if stored_kind not in _AS_SENT:
            return False
        return (b"\\u00" in body and _ESCAPED.search(body) is not None) or (
            is_number and _ODD_NUMBERS.search(body) is not None
        )

    return look


def _may_name_phone(tail: bytes) -> Callable[[int, bytes], bool]:
    def look(_stored_kind: int, body: bytes) -> bool:
        if tail in body.translate(None, _NOT_DIGITS) or not body.isascii() or b"\\u" in body:
            return True
        return _ODD_NUMBERS.search(body) is not None

    return look


def _may_name_email(run: bytes) -> Callable[[int, bytes], bool]:
    def look(_stored_kind: int, body: bytes) -> bool:
        return run in body.lower() or not body.isascii() or b"\\u" in body

    return look


def wanted(kind: int, label: str, value: str, region: str) -> Identifier:
    """What is looked for, as the contract compares it; as it was sent where the contract takes it for none."""
    text: str | None = value
    if kind == EMAIL:
        text = addresses.email(value)
    elif kind == PHONE:
        text = addresses.phone(value, region)
    return (kind, label, value if text is None else text)


def read(body: bytes) -> object:
    """A refused body as JSON; None where it is none."""
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None


def objects_of(document: object, errors: Iterable[ObjectError]) -> list[object]:
    """The objects of a body that errors are about."""
    if not isinstance(document, dict):
        return []
    found: list[object] = []
    for error in errors:
        sent = document.get(error.input_array)
        if isinstance(sent, list) and 0 <= error.index < len(sent):
            one = sent[error.index]
            found.append(one if isinstance(one, dict) else {error.input_array: one})
        elif isinstance(sent, dict):
            found.append(sent)
    return found


def named_in(document: object, region: str) -> set[Identifier]:
    """Whom a refused body, or a part of it, names: at most MOST_OF_REFUSED."""
    found: set[Identifier] = set()
    left = _MOST_VALUES
    waiting: list[object] = [document]
    while waiting and left and len(found) < MOST_OF_REFUSED:
        left -= 1
        value = waiting.pop()
        if isinstance(value, dict):
            found.update(_members(value, region))
            waiting += [member for member in value.values() if isinstance(member, (dict, list))]
        elif isinstance(value, list):
            waiting += [member for member in reversed(value[:left]) if isinstance(member, (dict, list))]
    return set(sorted(found)[:MOST_OF_REFUSED])


def _members(document: dict[str, Any], region: str) -> Iterator[Identifier]:
    for name in _MEMBERS.keys() & document.keys():
        value = document[name]
        for one in value[:MOST_OF_REFUSED] if isinstance(value, list) else [value]:
            if text := identifiers.text(one):
                yield wanted(_MEMBERS[name], "", text, region)
    if label := identifiers.text(document.get("alias_label")):
        names = (identifiers.text(document.get(name)) for name in _ALIAS_NAMES)
        yield from ((ALIAS, label, name) for name in names if name)


def digest(secret: bytes, identifier: Identifier) -> bytes:
    """What is kept of an identifier that a refused request named: it tells nobody without the secret who that is."""
    text = msgspec.json.encode(identifier)
    return blake2b(text, key=lasting(secret), digest_size=DIGEST_BYTES, person=b"refused request").digest()
