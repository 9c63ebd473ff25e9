"""POST /users/export/ids: selectors in, profiles out (spec export-delete-rename.md 1)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from app.contract import addresses, elements, identifiers, invisible
from app.contract import body as bodies
from app.contract.cursor import BAD_CURSOR, Cursors, Position
from app.contract.errors import ObjectError, ObjectRefusedError, RefusedError
from app.contract.exported import RENDERERS, WITHOUT_VALUES
from app.domain.profile import (
    ALIAS,
    BRAZE,
    DEVICE,
    EMAIL,
    EXTERNAL,
    PHONE,
    Identifier,
)

MAX_IDS: Final = 50
#: Profiles of one answer that have the e-mail address or the phone number (DECISIONS D72).
MAX_HOLDERS: Final = 100
#: Characters that are shown of an entry that is no identifier.
MAX_SHOWN: Final = 100
#: Option of a workspace.
REQUIRES_FIELDS: Final = "export_requires_fields"
NO_SELECTOR: Final = (
    "Valid data must be provided in the 'external_ids', 'user_aliases', 'braze_id', 'device_id', "
    "'email_address', or 'phone' fields."
)
TOO_MANY_IDS: Final = "The max number of ids per request was exceeded"
TOO_MANY_ALIASES: Final = "The max number of external_ids and aliases per request was exceeded"
ONLY_ONE: Final = "only one of 'device_id', 'email_address', or 'phone' may be provided"
NOBODY: Final = "Nobody has this identifier"
NO_KNOWN_FIELD: Final = "'fields_to_export' must be an array with at least one known field name"
#: The JSON answer up to the first profile.
BEGINNING: Final = b'{"users":['
#: Fields that keep a request to the ordinary limit.
LARGE_FIELDS: Final = ("canvases_received", "campaigns_received")
NO_FIELDS: Final = "'fields_to_export' is required"


@dataclass(frozen=True, slots=True)
class Selector:
    """One identifier that was asked for. `key` is None when the text can belong to nobody."""

    key: Identifier | None
    #: What `invalid_user_ids` says when nobody has it; None for aliases, which are not listed.
    sent: str | None
    #: The member of the request that has it, and its position there.
    member: str
    index: int = 0

    def hint(self) -> ObjectError | None:
        """What may be the cause where nobody has it: a character that nobody sees."""
        kind, label, name = self.key or (0, "", "")
        texts = {"alias_label": label, "alias_name": name} if kind == ALIAS else {self.member: self.sent}
        sentence = invisible.explained(NOBODY, texts, frozenset(texts))
        return None if sentence == NOBODY else ObjectError(sentence, self.member, self.index)


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """In the order in which the answer lists profiles: external ids, aliases, braze_id, then the other one."""

    selectors: tuple[Selector, ...]
    #: None = the default output.
    fields: frozenset[str] | None = field(default=None)
    #: Aliases that were left out, being malformed.
    errors: tuple[ObjectError, ...] = ()
    #: `cursor` as it was sent; None when it was not.
    cursor: object = None

    @property
    def crowd(self) -> Identifier | None:
        """The e-mail address or phone number that was asked for, which many profiles may have."""
        keys = (selector.key for selector in self.selectors)
        return next((key for key in keys if key is not None and key[0] in (EMAIL, PHONE)), None)

    def behind(self, cursors: Cursors) -> Position | None:
        """Behind which holder the answer begins; None = at the first. Raises RefusedError(400)."""
        if self.cursor is None:
            return None
        if self.crowd is None:
            raise RefusedError(400, BAD_CURSOR)
        return cursors.read(question(self.crowd), self.cursor)


def question(crowd: Identifier) -> tuple[int | str, ...]:
    """What the cursors of an export belong to."""
    return ("export", *crowd)


def read(body: bytes, *, requires_fields: bool = False, region: str = addresses.DEFAULT_REGION) -> ExportRequest:
    """Check a request. `requires_fields`: one that names no fields is refused (D24). Raises RefusedError.

    `region` is that of a phone number without a `+`.
    """
    document = bodies.parse_object(body)
    if document is None:
        raise RefusedError(400, NO_SELECTOR)
    others = [name for name in ("device_id", "email_address", "phone") if identifiers.is_sent(document.get(name))]
    if len(others) > 1:
        raise RefusedError(400, ONLY_ONE)
    errors: list[ObjectError] = []
    selectors = _external_ids(document.get("external_ids")) + _aliases(document.get("user_aliases"), errors)
    if identifiers.is_sent(document.get("braze_id")):
        selectors.append(_one("braze_id", document["braze_id"], lambda text: (BRAZE, "", text)))
    for name in others:
        selectors.append(_one(name, document[name], _OTHERS[name](region)))
    if not selectors:
        raise elements.refused(NO_SELECTOR, document, errors)
    fields = fields_of(document.get("fields_to_export"))
    if fields is None and requires_fields:
        raise RefusedError(400, NO_FIELDS)
    cursor = document.get("cursor")
    return ExportRequest(tuple(selectors), fields, tuple(errors), cursor if identifiers.is_sent(cursor) else None)


def names_small_fields(body: bytes) -> bool:
    """Whether a request names its fields and no large one is among them: such requests have a faster limit."""
    try:
        document = bodies.parse_object(body)
    except RefusedError:
        return False
    fields = None if document is None else document.get("fields_to_export")
    if not isinstance(fields, list) or not fields:
        return False
    return not any(isinstance(name, str) and name in LARGE_FIELDS for name in fields)


def _one(name: str, value: object, key: Callable[[str], Identifier | None]) -> Selector:
    """The selector of a single identifier; one that is no text at all is a mistake of the whole request."""
    text = identifiers.text(value)
    if text is None:
        raise RefusedError(400, f"'{name}' must be a string")
    return Selector(key(text) if _is_storable(text) else None, text, name)


def _external_ids(value: object) -> list[Selector]:
    if not identifiers.is_sent(value):
        return []
    values = [value] if isinstance(value, (str, int)) and not isinstance(value, bool) else value
    if not isinstance(values, list):
        raise RefusedError(400, elements.no_array("external_ids", "strings"))
    if len(values) > MAX_IDS:
        raise RefusedError(400, TOO_MANY_IDS)
    return [_external_id(member, index) for index, member in enumerate(values)]


def _external_id(value: object, index: int) -> Selector:
    """One that no profile can have is listed as invalid, and the others are answered (DECISIONS D71)."""
    text = identifiers.text(value)
    if text is None:
        shown = "" if bodies.unstorable(value) else msgspec.json.encode(value).decode()[:MAX_SHOWN]
        return Selector(None, shown, "external_ids", index)
    fits = 0 < len(text.encode()) <= identifiers.MAX_EXTERNAL_ID_BYTES
    return Selector((EXTERNAL, "", text) if fits and _is_storable(text) else None, text, "external_ids", index)


def _is_storable(text: str) -> bool:
    return "\0" not in text


def _aliases(value: object, errors: list[ObjectError]) -> list[Selector]:
    """The well-formed aliases; `errors` gets an entry for each of the others (DECISIONS D71)."""
    if not identifiers.is_sent(value):
        return []
    if not isinstance(value, list):
        raise RefusedError(400, elements.no_array("user_aliases"))
    if len(value) > MAX_IDS:
        raise RefusedError(400, TOO_MANY_ALIASES)
    selectors = []
    for index, member in enumerate(value):
        try:
            label, name = identifiers.alias(elements.sound(member))
        except ObjectRefusedError as refused:
            errors.append(elements.object_error(refused, "user_aliases", index, member))
        else:
            selectors.append(Selector((ALIAS, label, name), None, "user_aliases", index))
    return selectors


def _by_email(_region: str) -> Callable[[str], Identifier | None]:
    return lambda text: None if (email := addresses.email(text)) is None else (EMAIL, "", email)


def _by_phone(region: str) -> Callable[[str], Identifier | None]:
    return lambda text: None if (phone := addresses.phone(text, region)) is None else (PHONE, "", phone)


def _by_device(_region: str) -> Callable[[str], Identifier | None]:
    return lambda text: (DEVICE, "", text) if "\0" not in text else None  # of whichever app


_OTHERS: Final = {"email_address": _by_email, "phone": _by_phone, "device_id": _by_device}


def fields_of(value: object) -> frozenset[str] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise RefusedError(400, NO_KNOWN_FIELD)
    if not value:
        return None
    known = frozenset(name for name in value if isinstance(name, str) and (name in RENDERERS or name in WITHOUT_VALUES))
    if not known:
        raise RefusedError(400, NO_KNOWN_FIELD)
    return known


def ending(unknown: Sequence[Selector], malformed: tuple[ObjectError, ...], cursor: str | None) -> bytes:
    """What stands behind the profiles in the JSON answer, which begins with BEGINNING. `cursor` is of the next page.

    `unknown`: whom nobody is; where a character that nobody sees may be the cause, `errors` names it.
    """
    document: dict[str, object] = {}
    invalid = [selector.sent for selector in unknown if selector.sent is not None]
    if invalid:
        document["invalid_user_ids"] = invalid
    document["message"] = "success"
    errors = [*malformed, *(hint for selector in unknown if (hint := selector.hint()) is not None)]
    if errors:
        document["errors"] = [error.as_json() for error in errors]
    if cursor is not None:
        document["next_cursor"] = cursor
    return b"]," + msgspec.json.encode(document)[1:]
