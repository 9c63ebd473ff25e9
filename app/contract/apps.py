"""Apps as administrators make them: /v1/apps. Endpoints of our own."""

import re
from typing import Any, Final

from app.contract import signatures
from app.contract.body import parse_object, unsound
from app.contract.errors import RefusedError

MAX_NAME: Final = 255
MAX_ORIGINS: Final = 100
MAX_ORIGIN: Final = 255
#: Keys that sign for an app.
MAX_KEYS: Final = 5
MAX_PEM: Final = 2_000
#: Any page.
ANY_ORIGIN: Final = "*"

PLATFORMS: Final = ("web", "ios", "android", "other")

CHANGEABLE: Final = frozenset(("name", "allowed_origins", "disabled", "sdk_authentication", "public_keys"))

BAD_NEW: Final = "The body must be an object of 'name', 'platform' and, if they are to be set, 'allowed_origins'"
BAD_CHANGE: Final = (
    "The body must be an object of one or more of 'name', 'allowed_origins', 'disabled', 'sdk_authentication' and"
    " 'public_keys'"
)
BAD_NAME: Final = f"'name' must be a text of 1 to {MAX_NAME} characters"
BAD_PLATFORM: Final = f"'platform' must be one of {', '.join(PLATFORMS)}"
BAD_ORIGINS: Final = (
    f"'allowed_origins' must be an array of at most {MAX_ORIGINS} origins such as https://shop.example.org, or of '*'"
)
BAD_FLAG: Final = "'%s' must be true or false"
BAD_KEYS: Final = f"'public_keys' must be an array of at most {MAX_KEYS} RSA public keys of 2,048 to 4,096 bits, as PEM"
UNKNOWN: Final = "No app has this id"
TOO_MANY: Final = "The workspace has as many apps as it may have"

#: Scheme, host and port, as a browser writes them into `Origin`.
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


def read_new(body: bytes) -> tuple[str, str, list[str]]:
    """(name, platform, origins of pages that may send) of an app to be made. Raises RefusedError(400)."""
    document = _document(body, BAD_NEW)
    if document.keys() - {"name", "platform", "allowed_origins"}:
        raise RefusedError(400, BAD_NEW)
    origins = document.get("allowed_origins")
    return (
        checked_name(document.get("name")),
        checked_platform(document.get("platform")),
        [ANY_ORIGIN] if origins is None else checked_origins(origins),
    )


def read_change(body: bytes) -> dict[str, Any]:
    """What is to be changed of an app, by its field. Raises RefusedError(400)."""
    document = _document(body, BAD_CHANGE)
    if not document or document.keys() - CHANGEABLE:
        raise RefusedError(400, BAD_CHANGE)
    values: dict[str, Any] = {}
    if "name" in document:
        values["name"] = checked_name(document["name"])
    if "allowed_origins" in document:
        values["allowed_origins"] = checked_origins(document["allowed_origins"])
    for name in ("disabled", "sdk_authentication"):
        if name in document:
            if not isinstance(document[name], bool):
                raise RefusedError(400, BAD_FLAG % name)
            values[name] = document[name]
    if "public_keys" in document:
        values["public_keys"] = checked_keys(document["public_keys"])
    return values


def checked_keys(value: object) -> list[str]:
    """Public keys as PEM. Raises RefusedError(400)."""
    if not isinstance(value, list) or len(value) > MAX_KEYS:
        raise RefusedError(400, BAD_KEYS)
    try:
        for pem in value:
            if not isinstance(pem, str) or len(pem) > MAX_PEM:
                raise RefusedError(400, BAD_KEYS)
            signatures.read_key(pem)
    except ValueError:
        raise RefusedError(400, BAD_KEYS) from None
    return value


def checked_name(value: object) -> str:
    """Raises RefusedError(400)."""
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_NAME or "\0" in value:
        raise RefusedError(400, BAD_NAME)
    return value


def checked_platform(value: object) -> str:
    """Raises RefusedError(400)."""
    if not isinstance(value, str) or value not in PLATFORMS:
        raise RefusedError(400, BAD_PLATFORM)
    return value


def checked_origins(value: object) -> list[str]:
    """Origins in lower case, each once. Raises RefusedError(400)."""
    if not isinstance(value, list) or len(value) > MAX_ORIGINS:
        raise RefusedError(400, BAD_ORIGINS)
    if not all(isinstance(origin, str) and len(origin) <= MAX_ORIGIN for origin in value):
        raise RefusedError(400, BAD_ORIGINS)
    origins = list(dict.fromkeys(origin.lower() for origin in value))
    if not all(origin == ANY_ORIGIN or _ORIGIN.fullmatch(origin) for origin in origins):
        raise RefusedError(400, BAD_ORIGINS)
    return origins


def _document(body: bytes, wanted: str) -> dict[str, Any]:
    document = parse_object(body)
    if document is None or unsound(document) is not None:
        raise RefusedError(400, wanted)
    return document
