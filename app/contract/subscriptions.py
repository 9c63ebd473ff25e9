"""Setting states of subscription groups and of e-mail addresses: from bytes to commands (spec subscriptions.md 3).

A body is read first, and then held against the groups that it names, which somebody has looked up meanwhile.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.contract import addresses, elements, identifiers
from app.contract import body as bodies
from app.contract.checked import Checked, commands_checked
from app.contract.elements import MAX_ELEMENTS, is_sent
from app.contract.errors import ObjectRefusedError, RefusedError
from app.contract.subscription_groups import group_id
from app.domain.commands import SetEmailState, SetGroupState
from app.domain.profile import CHANNEL_KINDS, EMAIL, EXTERNAL, PHONE, SUBSCRIBED, UNSUBSCRIBED, Identifier

SUCCESS: Final = b'{"message":"success"}'
INVALID_GROUP: Final = "Invalid subscription group ID"
NOT_BOTH: Final = "Either an email address or a phone number should be provided, but not both."
NO_SELECTOR: Final = "'external_id', 'email' or 'phone' is required"
BAD_STATE: Final = "'subscription_state' must be 'subscribed' or 'unsubscribed'"
BAD_EMAIL_STATE: Final = "'subscription_state' must be 'subscribed', 'unsubscribed' or 'opted_in'"
BAD_GROUPS: Final = f"'subscription_groups' must be an array of 1 to {MAX_ELEMENTS} objects"
TOO_MANY: Final = "The max number of ids per request was exceeded"
BAD_EMAILS: Final = f"'email' must be an email address or an array of 1 to {MAX_ELEMENTS} of them"

_STATES: Final = (SUBSCRIBED, UNSUBSCRIBED)
_EMAIL_STATES: Final = (SUBSCRIBED, UNSUBSCRIBED, "opted_in")
_E164: Final = re.compile(r"\+[1-9][0-9]{1,14}")
#: What names somebody, in the order of effect: kind, names in V1 and V2.
_SELECTORS: Final = (
    (EXTERNAL, ("external_id", "external_ids")),
    (EMAIL, ("email", "emails")),
    (PHONE, ("phone", "phones")),
)


@dataclass(frozen=True, slots=True)
class GroupChange:
    """One group, and for whom its state is to be set."""

    index: int
    group: str
    state: str
    double_opt_in: bool
    #: (member of the body, its place there, who)
    who: list[tuple[str, int, Identifier]]


def group_ids(changes: Iterable[GroupChange]) -> set[str]:
    """The groups that have to be looked up."""
    return {change.group for change in changes}


def checked(changes: Iterable[GroupChange], channels: Mapping[str, int]) -> Checked:
    """The request for these changes. `channels`: of the groups that there are. Raises RefusedError."""
    commands = []
    for change in changes:
        channel = channels.get(change.group)
        if channel is None:
            raise RefusedError(400, INVALID_GROUP)
        for member, index, who in change.who:
            if who[0] not in (EXTERNAL, CHANNEL_KINDS[channel]):
                raise RefusedError(400, INVALID_GROUP)
            commands.append(
                SetGroupState(member, index, who, channel, change.group, change.state, change.double_opt_in)
            )
    return commands_checked(commands, SUCCESS)


def read_one(body: bytes, region: str = addresses.DEFAULT_REGION) -> list[GroupChange]:
    """POST /subscription/status/set. Raises RefusedError."""
    document = bodies.parse_object(body) or {}
    return [_change(document, 0, "", region)]


def read_several(body: bytes, region: str = addresses.DEFAULT_REGION) -> list[GroupChange]:
    """POST /v2/subscription/status/set. Raises RefusedError."""
    document = bodies.parse_object(body) or {}
    groups = document.get("subscription_groups")
    if not isinstance(groups, list) or not 0 < len(groups) <= MAX_ELEMENTS:
        raise RefusedError(400, BAD_GROUPS)
    if not all(isinstance(group, dict) for group in groups):
        raise RefusedError(400, BAD_GROUPS)
    return [_change(group, index, "subscription_groups", region) for index, group in enumerate(groups)]


def _change(document: dict[str, Any], index: int, array: str, region: str) -> GroupChange:
    if bodies.unsound(document) is not None:
        raise RefusedError(400, bodies.unsound(document) or "")
    state = document.get("subscription_state")
    if state not in _STATES or not isinstance(state, str):
        raise RefusedError(400, BAD_STATE)
    who: list[tuple[str, int, Identifier]] = []
    for kind, names in _SELECTORS:
        for name in names:
            values = listed(document, name)
            who += [
                (array or name, index if array else place, (kind, "", _identifier(kind, name, value, region)))
                for place, value in enumerate(values)
            ]
    kinds = {identifier[0] for _, _, identifier in who}
    if {EMAIL, PHONE} <= kinds:
        raise RefusedError(400, NOT_BOTH)
    if not who:
        raise RefusedError(400, NO_SELECTOR)
    group = group_id(document.get("subscription_group_id"))
    if group is None:
        raise RefusedError(400, INVALID_GROUP)
    return GroupChange(index, group, state, document.get("use_double_opt_in_logic") is True, who)


def listed(document: dict[str, Any], name: str) -> list[Any]:
    """One value, or at most 50. null, "" and [] count as not sent. Raises RefusedError."""
    value = document.get(name)
    if not is_sent(value) or value == "":
        return []
    if isinstance(value, dict):  # an array as PHP sends it is not guessed (DECISIONS D63)
        raise RefusedError(400, f"'{name}' must be a string or an array of strings")
    values = value if isinstance(value, list) else [value]
    if len(values) > MAX_ELEMENTS:
        raise RefusedError(400, TOO_MANY)
    return values


def _identifier(kind: int, name: str, value: object, region: str) -> str:
    try:
        if kind == EXTERNAL:
            return identifiers.external_id(value)
        if kind == EMAIL:
            return identifiers.email(value)
    except ObjectRefusedError as refused:
        raise elements.refused(refused.type, {name: value}, names=frozenset((name,))) from None
    number = phone(value, region)
    if number is None:
        raise elements.refused(f"'{name}' must be E.164", {name: value})
    return number


def phone(value: object, region: str = addresses.DEFAULT_REGION) -> str | None:
    """A number in E.164, the form in which profiles have theirs; one that nobody can have is kept as it was sent."""
    sent = identifiers.text(value)
    if sent is None or not sent.strip().startswith("+"):
        return None
    found = addresses.phone(sent, region)
    if found is not None:
        return found
    return sent.strip() if _E164.fullmatch(sent.strip()) else None


def check_email_status(body: bytes) -> Checked:
    """POST /email/status. Raises RefusedError."""
    document = bodies.parse_object(body) or {}
    state = document.get("subscription_state")
    if state not in _EMAIL_STATES or not isinstance(state, str):
        raise RefusedError(400, BAD_EMAIL_STATE)
    emails = read_emails(document)
    return commands_checked([SetEmailState(index, email, state) for index, email in enumerate(emails)], SUCCESS)


def read_emails(document: dict[str, Any]) -> list[str]:
    """The addresses under `email`: one, or at most 50. Raises RefusedError."""
    values = listed(document, "email")
    if not values:
        raise RefusedError(400, BAD_EMAILS)
    return [_identifier(EMAIL, "email", value, "") for value in values]
