"""Accepting requests without HTTP: what the contract makes of a body, as a request or as an entry of the inbox."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from app.contract import aliases, deletion, external_ids, flags, identify, merge_request, track
from app.contract.checked import Checked
from app.contract.errors import RefusedError
from app.store.inbox.log import Entry


def _renames(body: bytes) -> Checked | None:
    found = external_ids.read_renames(body)
    return found.checked if found.commands else None


def _removals(body: bytes) -> Checked | None:
    found = external_ids.read_removals(body)
    return found.checked if found.commands else None


CHECKS: Final[dict[str, Callable[[bytes], Checked | None]]] = {
    "/users/track": lambda body: track.check(body, track.Limits(None, None), ecommerce_events=True),
    "/users/identify": identify.check,
    "/users/merge": merge_request.check,
    "/users/alias/new": aliases.check_new,
    "/users/alias/update": aliases.check_update,
    "/users/delete": deletion.check,
    "/v1/flags": flags.check,
    "/users/external_ids/rename": _renames,
    "/users/external_ids/remove": _removals,
}


def entry(path: str, body: dict[str, Any]) -> Entry | None:
    """What the request leaves in the inbox; None when it is refused or leaves nothing."""
    try:
        checked = CHECKS[path](msgspec.json.encode(body))
    except RefusedError:
        return None
    return None if checked is None else Entry(checked.kind, checked.codec, checked.body)
