"""Accepting requests without HTTP: what the contract makes of a body, as an entry of the inbox or in an inbox."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from app.contract import (
    aliases,
    deletion,
    external_ids,
    flags,
    identify,
    merge_records,
    merge_request,
    stored,
    subscriptions,
)
from app.contract.checked import Checked
from app.contract.errors import RefusedError
from app.contract.subscriptions import GroupChange
from app.contract.track import Limits
from app.contract.track import check as check_track
from app.domain.commands import STREAM_NORMAL
from app.domain.profile import CHANNEL_EMAIL, CHANNEL_PHONE
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry
from tests.stores import NOW_US


def _renames(body: bytes) -> Checked | None:
    found = external_ids.read_renames(body)
    return found.checked if found.commands else None


def _removals(body: bytes) -> Checked | None:
    found = external_ids.read_removals(body)
    return found.checked if found.commands else None


#: A `/users/track` whose effects can be counted.
ADA: Final[dict[str, Any]] = {"attributes": [{"external_id": "ada", "n": {"inc": 1}}]}

#: Subscription groups, and their channels.
GROUPS: Final = {"news": CHANNEL_EMAIL, "tips": CHANNEL_EMAIL, "texts": CHANNEL_PHONE}


def _groups(read: Callable[[bytes], list[GroupChange]]) -> Callable[[bytes], Checked]:
    return lambda body: subscriptions.checked(read(body), GROUPS)


CHECKS: Final[dict[str, Callable[[bytes], Checked | None]]] = {
    "/users/track": lambda body: check_track(body, Limits(None, None), ecommerce_events=True, groups=GROUPS),
    "/users/identify": identify.check,
    "/users/merge": merge_request.check,
    "/users/alias/new": aliases.check_new,
    "/users/alias/update": aliases.check_update,
    "/users/delete": deletion.check,
    "/v1/flags": flags.check,
    "/users/external_ids/rename": _renames,
    "/users/external_ids/remove": _removals,
    "/subscription/status/set": _groups(subscriptions.read_one),
    "/v2/subscription/status/set": _groups(subscriptions.read_several),
    "/email/status": subscriptions.check_email_status,
}


def entry(path: str, body: dict[str, Any]) -> Entry | None:
    """What the request leaves in the inbox; None when it is refused or leaves nothing."""
    try:
        checked = CHECKS[path](msgspec.json.encode(body))
    except RefusedError:
        return None
    return None if checked is None else Entry(checked.kind, checked.codec, checked.body)


def append(
    database: Database,
    workspace_id: int,
    checked: Checked | Entry,
    key_name: str | None = None,
    stream: int = STREAM_NORMAL,
    now_us: int = NOW_US,
) -> None:
    """Put into the inbox what the contract let pass, signed where there is the name of a key."""
    codec, body = checked.codec, checked.body
    if key_name is not None:
        codec, body = stored.signed(codec, body, key_name)
    with database.write(database.inbox) as connection:
        inbox.append(connection, workspace_id, stream, [Entry(checked.kind, codec, body)], now_us)


def send(database: Database, workspace_id: int, path: str, body: dict[str, Any], stream: int = STREAM_NORMAL) -> bool:
    """Accept a request as the API does; False when nothing of it is stored."""
    found = entry(path, body)
    if found is not None:
        append(database, workspace_id, found, stream=stream)
    return found is not None


def send_signed(
    database: Database, workspace_id: int, path: str, body: dict[str, Any], key_name: str = "backend"
) -> bool:
    """Accept a request whose effects name its key, as merges do; False when nothing of it is stored."""
    found = entry(path, body)
    if found is not None:
        append(database, workspace_id, found, key_name)
    return found is not None


def track(database: Database, workspace_id: int, body: dict[str, Any], stream: int = STREAM_NORMAL) -> bool:
    """Accept a `/users/track` as the API does; False when the contract refuses it."""
    return send(database, workspace_id, "/users/track", body, stream)


def accept(database: Database, workspace_id: int, us: int, body: dict[str, Any] | None = None, **changes: Any) -> None:
    """Accept a `/users/track`, or without one a change of settings, at a moment."""
    checked = stored.settings_change(changes) if body is None else CHECKS["/users/track"](msgspec.json.encode(body))
    assert checked is not None
    append(database, workspace_id, checked, now_us=us)


def undo(database: Database, workspace_id: int, merge: str) -> None:
    """Accept that a merge is taken back, by its id."""
    append(database, workspace_id, merge_records.undo(merge), "admin")
