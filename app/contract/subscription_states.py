"""`subscription_groups` in attributes of /users/track: states of groups for a person (spec attributes.md 2).

An entry is stored with the channel of its group, so that applying it needs no table of groups.
"""

from collections.abc import Mapping
from typing import Any, Final

from app.contract.errors import ObjectRefusedError
from app.contract.subscription_groups import group_id
from app.domain.profile import CHANNEL_KINDS, SUBSCRIBED, UNSUBSCRIBED

FIELD: Final = "subscription_groups"
#: Groups that one object may name.
MAX_GROUPS: Final = 50

BAD_ARRAY: Final = "'subscription_groups' must be an array"
TOO_MANY: Final = f"'subscription_groups' must have at most {MAX_GROUPS} entries"
BAD_ENTRY: Final = "'subscription_groups' entries must have 'subscription_group_id' and 'subscription_state'"
BAD_STATE: Final = "'subscription_state' is not valid"
BAD_ID: Final = "'subscription_group_id' is not a valid subscription group"
_CHANNEL: Final = "channel"


def group_ids(obj: object) -> set[str]:
    """The groups that an attributes object names."""
    entries = obj.get(FIELD) if isinstance(obj, dict) else None
    if not isinstance(entries, list):
        return set()
    sent = (entry.get("subscription_group_id") for entry in entries[:MAX_GROUPS] if isinstance(entry, dict))
    return {known for value in sent if (known := group_id(value)) is not None}


def with_channels(obj: object, channels: Mapping[str, int]) -> Any:
    """The object with the channel of each group that there is."""
    entries = obj.get(FIELD) if isinstance(obj, dict) else None
    if not isinstance(obj, dict) or not isinstance(entries, list):
        return obj
    return {**obj, FIELD: [_with_channel(entry, channels) for entry in entries]}


def _with_channel(entry: object, channels: Mapping[str, int]) -> object:
    if not isinstance(entry, dict):
        return entry
    known = group_id(entry.get("subscription_group_id"))
    return {**entry, _CHANNEL: None if known is None else channels.get(known)}


def read(value: object) -> list[list[Any]] | None:
    """[[id, channel, state], …] of what `with_channels` made; None for null, which changes nothing.

    Raises ObjectRefusedError.
    """
    if value is None:
        return None
    if not isinstance(value, list):
        raise ObjectRefusedError(BAD_ARRAY, "BAD_SUBSCRIPTION_GROUP_ARRAY")
    if len(value) > MAX_GROUPS:
        raise ObjectRefusedError(TOO_MANY, "BAD_SUBSCRIPTION_GROUP_ARRAY")
    return [_entry(entry) for entry in value]


def _entry(entry: object) -> list[Any]:
    if not isinstance(entry, dict) or "subscription_group_id" not in entry or "subscription_state" not in entry:
        raise ObjectRefusedError(BAD_ENTRY, "BAD_SUBSCRIPTION_GROUP_HASH")
    state = entry["subscription_state"]
    if not isinstance(state, str) or state not in (SUBSCRIBED, UNSUBSCRIBED):
        raise ObjectRefusedError(BAD_STATE, "BAD_SUBSCRIPTION_GROUP_STATE")
    known, channel = group_id(entry["subscription_group_id"]), entry.get(_CHANNEL)
    if known is None or channel not in CHANNEL_KINDS:
        raise ObjectRefusedError(BAD_ID, "BAD_SUBSCRIPTION_GROUP_ID")
    return [known, channel, state]
