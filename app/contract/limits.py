"""Limits of a workspace as its administrators see and change them: GET and PUT /v1/limits. An endpoint of our own."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from app.contract import body as bodies
from app.contract import elements
from app.contract.errors import RefusedError
from app.contract.plans import GROUPS, MAX_LIMIT, MAX_WINDOW_SECONDS, PLANS, TRACK_BULK
from app.domain import numbers, times

Requests = Annotated[int, Meta(ge=1, le=MAX_LIMIT)]
Window = Annotated[int, Meta(ge=1, le=MAX_WINDOW_SECONDS)]
Objects = Annotated[int, Meta(ge=1, le=1_000)]
MINUTE_US: Final = 60_000_000
UNKNOWN_GROUP: Final = f"'groups' may have the members {', '.join(GROUPS)}"
UNKNOWN_PLAN: Final = f"'plan' must be one of {', '.join(PLANS)}"
#: Name of the limit, requests, seconds.
LIMIT_TOO_HIGH: Final = "The limit '%s' may be at most %d requests in %d seconds on this server"
NOTHING: Final = "There is nothing to change"


class GroupLimit(Struct, forbid_unknown_fields=True):
    """The limit of a group of endpoints."""

    requests: Requests
    window_seconds: Window


class LimitsChange(Struct, forbid_unknown_fields=True):
    """What is left out stays; null is what the plan says. `"plan"` counts /users/track/bulk with /users/track."""

    plan: str | UnsetType = UNSET
    track_hourly_limit: Requests | UnsetType | None = UNSET
    track_burst_limit: Requests | UnsetType | None = UNSET
    burst_window_seconds: Window | UnsetType | None = UNSET
    hourly_refill: Literal["continuous", "clock_hour"] | UnsetType = UNSET
    track_reset_style: Literal["epoch", "seconds", "mau"] | UnsetType = UNSET
    max_objects_combined: Objects | UnsetType | None = UNSET
    max_objects_per_array: Objects | UnsetType | None = UNSET
    groups: dict[str, GroupLimit | Literal["plan"] | None] | UnsetType = UNSET


#: The value that msgspec shows of what is none of an enumeration.
_SENT: Final = re.compile("^Invalid enum value '.*'(?= - at)", re.DOTALL)
_NAMES: Final = frozenset((*LimitsChange.__struct_fields__, *GroupLimit.__struct_fields__))
_COLUMNS: Final = {"track_hourly_limit": "hourly_limit", "track_burst_limit": "burst_limit"}


def read_change(body: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """(values of columns of the workspace, {group: its new limit as it is stored, None = the default}).

    Raises RefusedError(400).
    """
    document = bodies.parse(body)
    if (problem := bodies.unsound(document)) is not None:
        raise RefusedError(400, f"The body {problem}")
    try:
        change = msgspec.convert(_whole(document), LimitsChange)
    except msgspec.ValidationError as error:
        sentence = _SENT.sub("Invalid enum value", str(error))
        raise elements.refused(sentence, document, names=_NAMES) from None
    given = {name: value for name in change.__struct_fields__ if (value := getattr(change, name)) is not UNSET}
    if not given:
        raise RefusedError(400, NOTHING)
    if change.plan is not UNSET and change.plan not in PLANS:
        raise elements.refused(UNKNOWN_PLAN, document)
    groups: dict[str, Any] = {}
    for name, limit in given.pop("groups", {}).items():
        if name not in GROUPS or (limit == "plan" and name != TRACK_BULK):
            raise elements.refused(UNKNOWN_GROUP, {"groups": name})
        groups[name] = [limit.requests, limit.window_seconds] if isinstance(limit, GroupLimit) else limit
    return {_COLUMNS.get(name, name): value for name, value in given.items()}, groups


def _whole(value: object) -> object:
    """The value with integers where whole numbers are written another way, as `1.0` and `2e0` (DECISIONS D64)."""
    if isinstance(value, dict):
        return {name: _whole(member) for name, member in value.items()}
    whole = numbers.integer(value)
    return value if whole is None else whole


def usage(key_name: str, key_id: str, group: str, minutes: Sequence[tuple[int, int, int]]) -> dict[str, Any]:
    """What one key called of one group in the last day. `minutes`: (minute since 1970, admitted, refused)."""
    return {
        "key": key_name,
        "key_id": key_id,
        "group": group,
        "admitted": sum(admitted for _, admitted, _ in minutes),
        "refused": sum(refused for *_, refused in minutes),
        "minutes": [
            {"minute": times.iso(minute * MINUTE_US), "admitted": admitted, "refused": refused}
            for minute, admitted, refused in minutes
        ],
    }


def answer(
    configured: Mapping[str, Any], limits: Iterable[Mapping[str, Any]], used: Iterable[Mapping[str, Any]] | None
) -> bytes:
    """The answer of GET and PUT. `used` is None while Redis is away."""
    shown: dict[str, Any] = {
        **configured,
        "limits": list(limits),
        "usage": None if used is None else list(used),
        "degraded": used is None,
        "message": "success",
    }
    return msgspec.json.encode(shown)
