"""`push_tokens` and `push_token_import` in attributes of /users/track (spec attributes.md 7).

An entry is stored with the platform of its app, so that applying it needs no table of apps.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, Final

from app.contract import identifiers
from app.contract.errors import ObjectRefusedError
from app.domain.commands import ImportToken
from app.domain.profile import TOKEN

FIELD: Final = "push_tokens"
#: Push tokens that one object may have, and imports of one request: each of these makes a profile.
MAX_TOKENS: Final = 50
MAX_IMPORTS: Final = 1_000
MAX_TOKEN: Final = 4_096
WEB: Final = "web"
_PLATFORM: Final = "platform"

BAD_ARRAY: Final = "'push_tokens' must be an array of objects"
TOO_MANY: Final = f"'push_tokens' must have at most {MAX_TOKENS} entries"
TOO_MANY_IMPORTS: Final = f"a single request may not import more than {MAX_IMPORTS:,} push tokens"
BAD_STRING: Final = "push token 'token' must be a string"
TOKEN_TOO_LONG: Final = f"push token 'token' must be at most {MAX_TOKEN:,} bytes"
BAD_DEVICE: Final = "push token 'device_id' must be between 8 and 255 bytes"
BAD_APP: Final = "push token 'app_id' is not valid"
BAD_IMPORT: Final = "push token import must have a push token and must not have 'external_id' or 'braze_id'"


def app_ids(obj: object) -> set[str]:
    """The apps that an attributes object names."""
    entries = obj.get(FIELD) if isinstance(obj, dict) else None
    if not isinstance(entries, list):
        return set()
    sent = (entry.get("app_id") for entry in entries[:MAX_TOKENS] if isinstance(entry, dict))
    return {one for one in sent if isinstance(one, str)}


def with_platforms(obj: object, platforms: Mapping[str, str]) -> Any:
    """The object with the platform of each app that there is."""
    entries = obj.get(FIELD) if isinstance(obj, dict) else None
    if not isinstance(obj, dict) or not isinstance(entries, list):
        return obj
    return {**obj, FIELD: [_with_platform(entry, platforms) for entry in entries]}


def _with_platform(entry: object, platforms: Mapping[str, str]) -> object:
    if not isinstance(entry, dict):
        return entry
    app_id = entry.get("app_id")
    return {**entry, _PLATFORM: platforms.get(app_id) if isinstance(app_id, str) else None}


def read(value: object) -> list[list[Any]] | None:
    """[[app, platform, token, device or None], …] of what `with_platforms` made, the last of those with one token.

    None for null, which changes nothing. Raises ObjectRefusedError.
    """
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ObjectRefusedError(BAD_ARRAY, "BAD_PUSH_TOKEN_VALUE")
    if len(value) > MAX_TOKENS:
        raise ObjectRefusedError(TOO_MANY, "BAD_PUSH_TOKEN_VALUE")
    return list({entry["token"]: _entry(entry) for entry in map(_checked, value)}.values())


def _checked(entry: dict[str, Any]) -> dict[str, Any]:
    token, device = entry.get("token"), entry.get("device_id")
    if not isinstance(token, str) or not token.strip():
        raise ObjectRefusedError(BAD_STRING, "BAD_PUSH_TOKEN_STRING")
    if len(token.encode()) > MAX_TOKEN:
        raise ObjectRefusedError(TOKEN_TOO_LONG, "BAD_PUSH_TOKEN_STRING")
    if device is not None and not (isinstance(device, str) and 8 <= len(device.encode()) <= 255):
        raise ObjectRefusedError(BAD_DEVICE, "BAD_DEVICE_ID")
    if not isinstance(entry.get(_PLATFORM), str):
        raise ObjectRefusedError(BAD_APP, "BAD_PUSH_TOKEN_APP_ID")
    return entry


def _entry(entry: dict[str, Any]) -> list[Any]:
    return [entry["app_id"], entry[_PLATFORM], entry["token"], entry.get("device_id")]


def check_import(obj: dict[str, Any]) -> list[list[Any]]:
    """The push tokens of an import, at least one, and none of a browser. Raises ObjectRefusedError."""
    if not obj.get(FIELD) or any(identifiers.is_sent(obj.get(name)) for name in ("external_id", "braze_id")):
        raise ObjectRefusedError(BAD_IMPORT, "BAD_PUSH_TOKEN_IMPORT")
    tokens = read(obj[FIELD]) or []
    if any(platform == WEB for _, platform, _, _ in tokens):
        raise ObjectRefusedError(BAD_APP, "BAD_PUSH_TOKEN_APP_ID")
    return tokens


def imports(command: ImportToken) -> Iterator[ImportToken]:
    """One command for each of the push tokens, since each makes a profile."""
    tokens: Any = command.fields[FIELD]
    for token in tokens:
        yield ImportToken(
            index=command.index,
            identifier=(TOKEN, "", token[2]),
            update_only=command.update_only,
            merge_objects=command.merge_objects,
            fields=deepcopy(command.fields) | {FIELD: [token]},
            custom=deepcopy(command.custom),
            ignored=list(command.ignored),
        )
