"""Accepting requests without HTTP: what the contract makes of a body, as a request or as an entry of the inbox."""

from typing import Any

import msgspec

from app.contract import aliases, deletion, external_ids, identify, merge_request, stored, track
from app.contract.elements import CODEC_COMMANDS
from app.contract.errors import RefusedError
from app.store.inbox.log import Entry

_QUEUED = {
    "/users/identify": identify.accept,
    "/users/merge": merge_request.accept,
    "/users/alias/new": aliases.accept_new,
    "/users/alias/update": aliases.accept_update,
    "/users/delete": deletion.accept,
}


def entry(path: str, body: dict[str, Any]) -> Entry | None:
    """What the request leaves in the inbox; None when it is refused or leaves nothing."""
    content = msgspec.json.encode(body)
    try:
        if path == "/users/track":
            accepted = track.accept(content, track.Limits(None, None))
            return Entry(stored.KIND_TRACK, accepted.codec, accepted.body)
        if path in _QUEUED:
            queued = _QUEUED[path](content)
            return Entry(queued.kind, queued.codec, queued.body)
        read = external_ids.read_renames if path.endswith("rename") else external_ids.read_removals
        items = read(content)
        return Entry(items.kind, CODEC_COMMANDS, items.body) if items.commands else None
    except RefusedError:
        return None
