"""Merges and histories as clients see them: our own endpoints under /v1."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from app.contract import addresses, elements, identifiers, invisible, request_id
from app.contract.checked import Checked, commands_checked
from app.contract.cursor import Page
from app.contract.errors import ObjectRefusedError, RefusedError
from app.domain import custom_attributes, times
from app.domain.commands import UndoMerge
from app.domain.history import CREATED, Happening, Origin
from app.domain.identifiers import identifiers_of
from app.domain.merging.leaves import Path
from app.domain.merging.plan import Change, Consent, MergePlan, MergeRecord
from app.domain.merging.undo import UndoPlan
from app.domain.profile import (
    ALIAS,
    BRAZE,
    CHANNEL_FIELDS,
    DEPRECATED,
    DEVICE,
    EMAIL,
    EXTERNAL,
    PHONE,
    TEST_USER,
    TOKEN,
    Address,
    AddressState,
    Identifier,
)

ONE_IDENTIFIER: Final = (
    "exactly one of 'external_id', 'braze_id', 'email', or 'alias_name' with 'alias_label' is required"
)
BAD_LIMIT: Final = "'limit' must be a number between 1 and 100"
BAD_OFFSET: Final = "'offset' must be a number between 0 and 1000000"
BAD_HISTORY_LIMIT: Final = "'limit' must be a number between 1 and 1000"
UNKNOWN_PROFILE: Final = "Unknown profile"
TOO_LARGE: Final = "The profiles are too large to be previewed together: ask for fewer merges at a time"
TOO_MANY_HOLDERS: Final = "More than 100 profiles have this address"
MAX_LIMIT: Final = 100
MAX_OFFSET: Final = 1_000_000
MAX_LINES: Final = 1_000
MAX_HOLDERS: Final = 100

#: Why a merge was not undone: status and sentence by the reason's name.
REFUSALS: Final = {
    "merge_not_found": (404, "Unknown merge"),
    "already_undone": (409, "The merge is already undone"),
    "merge_too_old": (409, "The merge is too old to be undone"),
    "identifier_reused": (409, "An identifier of the merged profile is in use again"),
    "later_merge_too_old": (409, "A later merge stands on this one and is too old to be undone"),
    "too_many_later_merges": (409, "Too much stands on this merge: later merges have to be undone first"),
    # As earlier versions answered, and as a repeat of a request of then is still answered.
    "later_merge_first": (409, "A later merge into the same profile has to be undone first"),
    "kept_profile_merged": (409, "The kept profile was itself merged since; that merge has to be undone first"),
}

_ID: Final = re.compile("[0-9a-f]{24}")
_KINDS: Final = {
    EXTERNAL: "external_id",
    DEPRECATED: "deprecated_external_id",
    EMAIL: "email",
    PHONE: "phone",
    BRAZE: "braze_id",
    TOKEN: "push_token",
}


def is_id(text: str) -> bool:
    """Whether a merge could have this id."""
    return _ID.fullmatch(text) is not None


def undo(merge_id: str) -> Checked:
    """The request to take a merge back."""
    return commands_checked([UndoMerge(0, merge_id)])


def whose(parameters: Mapping[str, str]) -> Identifier | None:
    """The identifier that the query names; None when nobody can have it. Raises RefusedError."""
    sent = [name for name in ("external_id", "braze_id", "email") if parameters.get(name)]
    by_alias = "alias_name" in parameters or "alias_label" in parameters
    if len(sent) + by_alias != 1:
        raise RefusedError(400, ONE_IDENTIFIER)
    if any("\0" in value for value in parameters.values()):  # no stored text has one
        return None
    try:
        if by_alias:
            return (ALIAS, *identifiers.alias(dict(parameters)))
        value = parameters[sent[0]]
        if sent[0] == "email":
            email = addresses.email(value)
            return None if email is None else (EMAIL, "", email)
        if sent[0] == "braze_id":
            return (BRAZE, "", value)
        return (EXTERNAL, "", identifiers.external_id(value))
    except ObjectRefusedError as refused:
        raise elements.refused(refused.type, dict(parameters)) from None


def unknown_profile(key: Identifier | None) -> str:
    """The sentence about somebody who is not there, with a character that nobody sees where one is in the name."""
    if key is None:
        return UNKNOWN_PROFILE
    kind, label, value = key
    texts = {"alias_label": label, "alias_name": value} if kind == ALIAS else {_KINDS[kind]: value}
    return invisible.explained(UNKNOWN_PROFILE, texts, frozenset(texts))


def page(parameters: Mapping[str, str]) -> Page:
    """Of the list of merges. Raises RefusedError."""
    limit = _number(parameters.get("limit", "50"), 1, MAX_LIMIT, BAD_LIMIT)
    skip = _number(parameters.get("offset", "0"), 0, MAX_OFFSET, BAD_OFFSET)
    return Page(limit, parameters.get("cursor", ""), skip)


def history_page(parameters: Mapping[str, str]) -> Page:
    """Of a history. Raises RefusedError."""
    limit = _number(parameters.get("limit", "100"), 1, MAX_LINES, BAD_HISTORY_LIMIT)
    return Page(limit, parameters.get("cursor", ""))


def _number(text: str, least: int, most: int, refusal: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise RefusedError(400, refusal)
    return int(text)


class Renderer:
    """Makes JSON of records for one workspace, whose secret is in the request ids."""

    def __init__(self, workspace_id: int, secret: bytes) -> None:
        self._workspace_id = workspace_id
        self._secret = secret

    def _request_id(self, origin: Origin) -> str:
        return request_id.make(self._secret, self._workspace_id, origin.stream, origin.seq)

    def record(self, record: MergeRecord, now_us: int) -> dict[str, object]:
        """A merge that was performed. What it changed is left out once it is too old to be undone."""
        undone = record.undone
        document: dict[str, object] = {
            "id": record.id,
            "status": "merged" if undone is None else "undone",
            "merged_at": times.iso(record.origin.us),
            "request_id": self._request_id(record.origin),
            "key_name": record.origin.key_name or None,
            "kept_braze_id": record.kept_braze_id,
            "merged_braze_id": record.merged_braze_id,
        }
        if undone is None:
            document["undo_until"] = times.iso(record.expires_us)
        else:
            document["undone_at"] = times.iso(undone.us)
            document["undone_by_request_id"] = self._request_id(undone)
            document["undone_by_key_name"] = undone.key_name or None
            document["unseparated"] = [name_of(tuple(path.split("."))) for path in record.unseparated or ()]
        if record.plan is not None and (undone is not None or now_us < record.expires_us):
            document |= plan(record.plan)
        return document

    def lines(self, created: Origin | None, lines: list[Happening]) -> list[dict[str, object]]:
        """A history, oldest line first. `created` stands in for that line where none was written down."""
        first = [line for line in lines if line.what == CREATED]
        if not first and created is not None:
            first = [Happening(CREATED, created)]
        return [self._line(line) for line in first + [line for line in lines if line.what != CREATED]]

    def _line(self, line: Happening) -> dict[str, object]:
        document: dict[str, object] = {
            "what": line.what,
            "at": times.iso(line.origin.us),
            "request_id": self._request_id(line.origin),
            "key_name": line.origin.key_name or None,
        }
        if line.other:
            document["other_braze_id"] = line.other
        if line.merge_id:
            document["merge_id"] = line.merge_id
        return document


def plan(found: MergePlan) -> dict[str, object]:
    """What a merge does: values of the kept profile that change, and values of the merged profile that are lost."""
    document: dict[str, object] = {
        "policy": found.policy,
        "changes": [_change(change) for change in found.changes if change.path[:2] not in _OWN],
        "lost": [_change(change) for change in found.lost if change.path[:2] not in _OWN],
        "moved_identifiers": [_identifier(key) for key in found.moved],
        "retired_identifiers": [_identifier(key) for key in found.retired],
        "alias_conflicts": [
            {"alias_label": label, "kept_alias_name": kept, "merged_alias_name": merged}
            for label, kept, merged in found.alias_conflicts
        ],
    }
    if found.consent is not None:
        document["consent"] = {
            "email": found.consent.address[1],
            "kept": _state(found.consent.before),
            "result": _state(found.consent.after),
        }
    if found.groups:
        document["group_consents"] = [_group_consent(consent) for consent in found.groups]
    return document


def undo_plan(found: UndoPlan) -> dict[str, object]:
    """What undoing a merge would do: to whoever has everything now, to addresses, and to the merges on top of it."""
    record = found.record
    return {
        "merge_id": record.id,
        "kept_braze_id": record.kept_braze_id,
        "merged_braze_id": record.merged_braze_id,
        "braze_id": found.root_braze_id,
        "changes": [
            {"field": name_of(each.path)} | _shown_values(each.path, (("now", each.now), ("after", each.after)))
            for each in found.changes
            if each.path[:2] not in _OWN and each.path != ("last_merge",)
        ],
        "consents": [
            _address(address) | {"after": _state(after)} for address, after in sorted(found.addresses.items())
        ],
        "restored_identifiers": [
            _identifier(key) for key in sorted({(BRAZE, "", record.merged_braze_id), *identifiers_of(found.restored)})
        ],
        "unseparated": [name_of(tuple(path.split("."))) for path in found.unseparated],
        "later_merges": [
            {
                "id": each.record.id,
                "merged_at": times.iso(each.record.origin.us),
                "kept_braze_id": each.record.kept_braze_id,
                "merged_braze_id": each.record.merged_braze_id,
            }
            for each in found.later
        ],
    }


def _address(address: Address) -> dict[str, object]:
    channel, value, topic = address
    document: dict[str, object] = {"subscription_group_id": topic} if topic else {}
    return document | {CHANNEL_FIELDS[channel]: value}


def _shown_values(path: Path, values: Iterable[tuple[str, Any]]) -> dict[str, object]:
    show = _shown(path)
    return {name: None if value is None else show(value) for name, value in values}


def _group_consent(consent: Consent) -> dict[str, object]:
    channel, address, group = consent.address
    states = {"kept": _state(consent.before), "result": _state(consent.after)}
    return {"subscription_group_id": group, CHANNEL_FIELDS[channel]: address, **states}


def _change(change: Change) -> dict[str, object]:
    values = (("kept", change.kept), ("merged", change.merged), ("result", change.result))
    return {"field": name_of(change.path)} | _shown_values(change.path, values)


def _state(state: AddressState | None) -> object:
    return None if state is None else {"state": state.state, "changed_at": times.iso(state.changed_us)}


def _identifier(key: Identifier) -> dict[str, object]:
    kind, label, value = key
    if kind == ALIAS:
        return {"user_alias": {"alias_name": value, "alias_label": label}}
    if kind == DEVICE:
        return {"device": {"app_id": label, "device_id": value}}
    return {_KINDS[kind]: value}


#: What Onefold counts people by, and no field of theirs.
_OWN: Final = (("devices", "active"),)
#: Fields that clients know under another name.
_NAMES: Final = {
    "aliases": "user_aliases",
    "deprecated": "deprecated_external_ids",
    "custom": "custom_attributes",
    "events": "custom_events",
    "revenue_cents": "total_revenue",
    "session_count": "sessions",
    "first_purchase_us": "first_purchase",
    "last_purchase_us": "last_purchase",
    "first_session_us": "date_of_first_session",
    "last_session_us": "date_of_last_session",
    "flags": "test_user",
}


def name_of(path: Path) -> str:
    """A place in a profile as clients would call it: `first_name`, `custom_attributes.tier`."""
    return ".".join((_NAMES.get(path[0], path[0]), *path[1:]))


def _shown(path: Path) -> Callable[[Any], object]:
    return _VALUES.get(path[0], lambda value: value)


def _summary(value: list[int]) -> object:
    return {"count": value[0], "first": times.iso(value[1]), "last": times.iso(value[2])}


def dated(value: Any) -> object:
    """Moments inside devices and messages as texts: what is a number there and no count is a moment."""
    if isinstance(value, dict):
        return {name: member if name == "sessions" else dated(member) for name, member in value.items()}
    return times.iso(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _consent(value: list[Any]) -> object:
    return {"state": value[0], "changed_at": times.iso(value[1])}


def _group_states(value: dict[str, list[Any]]) -> object:
    return {group: _consent(state) for group, state in value.items()}


_VALUES: Final[dict[str, Callable[[Any], object]]] = {
    "custom": custom_attributes.exported,
    "events": _summary,
    "purchases": _summary,
    "revenue_cents": lambda value: value / 100,
    "first_purchase_us": times.iso,
    "last_purchase_us": times.iso,
    "first_session_us": times.iso,
    "last_session_us": times.iso,
    "marked_email_as_spam_at": times.iso,
    "push_subscribe": _consent,
    "email_subscribe": _consent,
    "email_groups": _group_states,
    "phone_groups": _group_states,
    "devices": dated,
    "messages": dated,
    "flags": lambda value: bool(value & TEST_USER),
}
