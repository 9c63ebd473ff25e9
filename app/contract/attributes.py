"""Attributes objects of /users/track: reserved fields are read here, custom attributes at apply (spec attributes.md).

FIELDS is the table of reserved names: name -> how it is read. A reader returns the stored value, raises
ObjectRefusedError when the whole object is to be refused, or returns IGNORED when only the field is skipped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from app.contract import addresses, identifiers, invisible, locales, push_tokens, subscription_states
from app.contract.errors import ObjectRefusedError
from app.domain import numbers, times
from app.domain.commands import ImportToken, TrackAttributes, TrackTokens
from app.domain.profile import EMAIL, PHONE, TOKEN
from app.domain.reasons import INVALID_NAME, INVALID_VALUE

IGNORED: Final = object()
#: Nothing was said about the field: PHP's empty array where an object is expected (DECISIONS D63), or an empty list.
NOT_SENT: Final = object()
#: The field is cleared, because what was sent cannot be understood.
CLEARED_INVALID: Final = object()
CLEARED: Final = None
MAX_TEXT: Final = 255
MAX_URL: Final = 1_024  # DECISIONS D59


_SUBSCRIPTION_STATES: Final = frozenset(("opted_in", "subscribed", "unsubscribed"))


def read(obj: dict[str, Any], index: int, region: str = addresses.DEFAULT_REGION) -> TrackAttributes:
    """The command of one attributes object. Raises ObjectRefusedError."""
    imported = "push_token_import" in obj and flag(obj["push_token_import"]) is True
    identifier = (TOKEN, "", push_tokens.check_import(obj)[0][2]) if imported else identifiers.of(obj, region)
    fields: dict[str, object] = {}
    custom: dict[str, object] = {}
    ignored: list[tuple[str, str]] = []
    if imported and identifiers.is_sent(obj.get("user_alias")):  # the push token is who is meant
        ignored.append(("user_alias", INVALID_VALUE))
    for name, value in obj.items():
        reader = FIELDS.get(name)
        if reader is None:
            # With what nobody sees it is neither the reserved field, nor a name of a custom attribute. A plain word has
            # nothing of that.
            if not (name.isascii() and name.isidentifier()) and invisible.visible(name) in FIELDS:
                ignored.append((name, INVALID_NAME))
                continue
            custom[name] = value
        elif reader is not _control:
            found = reader(value)
            if type(found) is str:  # as nearly all are
                fields[_STORED_AS.get(name, name)] = found
            else:
                _enter(name, found, fields, ignored)
    if "email" in fields and identifier[0] == EMAIL:
        del fields["email"]
    if "phone_raw" in fields:
        if identifier[0] != PHONE:
            raw = fields["phone_raw"]
            fields["phone"] = addresses.phone(raw, region) if isinstance(raw, str) else None
        elif fields["phone_raw"] is None:
            del fields["phone_raw"]
    made = ImportToken if imported else TrackTokens if push_tokens.FIELD in fields else TrackAttributes
    return made(
        index=index,
        identifier=identifier,
        update_only=flag(obj.get("_update_existing_only")),
        merge_objects=flag(obj.get("_merge_objects")) or False,
        fields=fields,
        custom=custom,
        ignored=ignored,
    )


def _enter(name: str, found: object, fields: dict[str, object], ignored: list[tuple[str, str]]) -> None:
    """Enter what a reader found into the fields, or into what is ignored, or both."""
    if found is NOT_SENT:
        return
    if isinstance(found, _Members):
        ignored += ((f"{name}.{member}", INVALID_VALUE) for member in found.ignored)
        found = found.kept
    if found is IGNORED or found is CLEARED_INVALID:
        ignored.append((name, INVALID_VALUE))
    if found is not IGNORED:
        fields[_STORED_AS.get(name, name)] = CLEARED if found is CLEARED_INVALID else found


def flag(value: object) -> bool | None:
    """A boolean control key: true, false and the same as strings; anything else counts as not sent."""
    if value is True or value == "true":
        return True
    return False if value is False or value == "false" else None


def _control(_value: object) -> object:
    raise AssertionError("control keys are read on their own")


def _text(limit: int) -> Callable[[object], object]:
    def read_text(value: object) -> object:
        if value is None:
            return CLEARED
        return value if isinstance(value, str) and len(value) <= limit else IGNORED

    return read_text


def _mapped(mapping: Callable[[str], str | None], invalid: object = IGNORED) -> Callable[[object], object]:
    def read_mapped(value: object) -> object:
        if value is None:
            return CLEARED
        found = mapping(value) if isinstance(value, str) else None
        return invalid if found is None else found

    return read_mapped


def _email(value: object) -> object:
    return CLEARED if value is None else identifiers.email(value)


def _phone(value: object) -> object:
    if value is None or value == "":
        return CLEARED
    found = identifiers.text(value)
    return found if found is not None and len(found) <= MAX_TEXT else IGNORED


def _state(name: str, code: str) -> Callable[[object], object]:
    def read_state(value: object) -> object:
        if value is None:
            return IGNORED
        if not isinstance(value, str) or value not in _SUBSCRIPTION_STATES:
            raise ObjectRefusedError(f"'{name}' must be 'subscribed', 'unsubscribed', or 'opted_in'", code)
        return value

    return read_state


def _time(value: object) -> object:
    if value is None:
        return CLEARED
    found = times.parse(value) if isinstance(value, str) else None
    return IGNORED if found is None else found


def _boolean(value: object) -> object:
    return value if value is None or isinstance(value, bool) else IGNORED


def _location(value: object) -> object:
    if value is None:
        return CLEARED
    if value == []:
        return NOT_SENT
    if not isinstance(value, dict) or not _is_number(value.get("longitude")) or not _is_number(value.get("latitude")):
        raise ObjectRefusedError(
            "'current_location' must be an object with 'longitude' and 'latitude'", "BAD_LOCATION_UPDATE"
        )
    longitude, latitude = float(value["longitude"]), float(value["latitude"])
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
        return IGNORED
    return [numbers.canonical(longitude), numbers.canonical(latitude)]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _count(value: object) -> object | None:
    return numbers.integer(value)


def _short_text(value: object) -> object | None:
    return value if isinstance(value, str) and len(value) <= MAX_TEXT else None


def _short_texts(value: object) -> object | None:
    fits = isinstance(value, list) and len(value) <= 500 and all(_short_text(member) is not None for member in value)
    return value if fits else None


@dataclass(frozen=True, slots=True)
class _Members:
    """What is kept of an object, and the names of its members that are not."""

    kept: dict[str, object]
    ignored: list[str]


def _members(**readers: Callable[[object], object | None]) -> Callable[[object], object]:
    def read_members(value: object) -> object:
        if value is None:
            return CLEARED
        if value == []:
            return NOT_SENT
        if not isinstance(value, dict):
            return IGNORED
        read = {name: reader(value[name]) for name, reader in readers.items() if value.get(name) is not None}
        kept = {name: member for name, member in read.items() if member is not None}
        return _Members(kept, [name for name in read if name not in kept]) if kept else IGNORED

    return read_members


def _subscription_groups(value: object) -> object:
    if value == []:
        return NOT_SENT
    found = subscription_states.read(value)
    return IGNORED if found is None else found


def _push_tokens(value: object) -> object:
    if value == []:
        return NOT_SENT
    found = push_tokens.read(value)
    return IGNORED if found is None else found


def _not_an_attribute(_value: object) -> object:
    raise ObjectRefusedError(
        "'email_subscription_info' is not a valid attribute", "INVALID_ATTRIBUTE_EMAIL_SUBSCRIPTION_INFO"
    )


def _dropped(_value: object) -> object:
    return IGNORED


#: Where a field is stored under another name than it is sent.
_STORED_AS: Final = {
    "phone": "phone_raw",
    "date_of_first_session": "first_session",
    "date_of_last_session": "last_session",
}

FIELDS: Final[dict[str, Callable[[object], object]]] = {
    "external_id": _control,
    "user_alias": _control,
    "braze_id": _control,
    "_update_existing_only": _control,
    "_merge_objects": _control,
    "push_token_import": _control,
    "alias_name": _dropped,
    "alias_label": _dropped,
    "bio": _dropped,
    "email_subscription_info": _not_an_attribute,
    "first_name": _text(MAX_TEXT),
    "last_name": _text(MAX_TEXT),
    "email": _email,
    "phone": _phone,
    "country": _mapped(locales.country, invalid=CLEARED_INVALID),
    "language": _mapped(locales.language),
    "time_zone": _mapped(locales.time_zone),
    "home_city": _text(MAX_TEXT),
    "dob": _mapped(locales.date_of_birth),
    "gender": _mapped(locales.gender),
    "current_location": _location,
    "date_of_first_session": _time,
    "date_of_last_session": _time,
    "email_subscribe": _state("email_subscribe", "BAD_EMAIL_SUBSCRIPTION_STATE"),
    "push_subscribe": _state("push_subscribe", "BAD_PUSH_SUBSCRIPTION_STATE"),
    "subscription_groups": _subscription_groups,
    "email_open_tracking_disabled": _boolean,
    "email_click_tracking_disabled": _boolean,
    "marked_email_as_spam_at": _time,
    "push_tokens": _push_tokens,
    "facebook": _members(id=_short_text, likes=_short_texts, num_friends=_count),
    "twitter": _members(
        id=_count, screen_name=_short_text, followers_count=_count, friends_count=_count, statuses_count=_count
    ),
    "image_url": _text(MAX_URL),
    "native_line_id": _text(MAX_TEXT),
}
