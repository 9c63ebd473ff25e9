"""The log of requests as JSON."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from app.api.requests.models import Skipped

_Moment = Annotated[str, Meta(examples=["2026-02-10T09:15:00.000Z"])]
_Count = Annotated[int, Meta(ge=0)]


class Error(Struct, forbid_unknown_fields=True):
    """Why a request, or one of its objects, was refused."""

    type: str
    input_array: Annotated[str, Meta(description="Absent where the whole request is meant.")] | UnsetType = UNSET
    index: _Count | UnsetType = UNSET
    code: str | UnsetType = UNSET


class NamedObject(Struct, forbid_unknown_fields=True):
    """An object that names who was asked for."""

    input_array: str
    index: _Count
    outcome: Annotated[
        Literal["queued", "applied", "partly", "skipped", "dead"], Meta(description="partly: fields of it are skipped.")
    ]


class Logged(Struct, forbid_unknown_fields=True, kw_only=True):
    """A request. No value of a client is shown."""

    at: Annotated[str, Meta(description="When it was accepted, or refused.")]
    outcome: Annotated[
        Literal["queued", "applied", "skipped", "dead", "refused"],
        Meta(description="skipped: applied, but something of it had no effect. refused: all of it, or some objects."),
    ]
    key: Annotated[str, Meta(description="Name of the API key, or of the app; empty where it is not kept.")]
    id: Annotated[str, Meta(description="Absent where nothing of it was accepted.")] | UnsetType = UNSET
    stream: Literal["normal", "bulk"] | UnsetType = UNSET
    kind: Annotated[str, Meta(description="What an accepted one asks for.", examples=["track"])] | UnsetType = UNSET
    objects: Annotated[list[NamedObject], Meta(description="Where somebody was asked for.")] | UnsetType = UNSET
    skipped: list[Skipped] | UnsetType = UNSET
    reason: Annotated[str, Meta(description="Class of the error of a dead one.")] | UnsetType = UNSET
    replayed_as: Annotated[str, Meta(description="The request that a dead one was sent as again.")] | UnsetType = UNSET
    endpoint: Annotated[str, Meta(description="Of a refused one.")] | UnsetType = UNSET
    status: (
        Annotated[int, Meta(description="Of the answer to a refused one; 2xx: the rest was accepted.")] | UnsetType
    ) = UNSET
    errors: list[Error] | UnsetType = UNSET
    count: Annotated[int, Meta(ge=2, description="Refused ones that it stands for.")] | UnsetType = UNSET


class KeptSince(Struct, forbid_unknown_fields=True):
    """How far back the log goes. null: there are none."""

    normal: _Moment | None
    bulk: _Moment | None
    refused: _Moment | None


class Requests(Struct, forbid_unknown_fields=True):
    requests: list[Logged]
    looked_back_to: Annotated[_Moment | None, Meta(description="What is later was looked at. null: everything was.")]
    kept_since: KeptSince
    message: Literal["success"]
    next_cursor: Annotated[str, Meta(min_length=1, description="There may be more.")] | UnsetType = UNSET


class ErrorGroup(Struct, forbid_unknown_fields=True):
    endpoint: str
    status: int
    type: str
    first: _Moment
    last: _Moment
    count: Annotated[int, Meta(ge=1, description="Requests.")]
    code: str | UnsetType = UNSET


class Errors(Struct, forbid_unknown_fields=True):
    groups: list[ErrorGroup]
    kept_since: _Moment | None
    message: Literal["success"]
