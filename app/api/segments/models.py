"""Segments: bodies and answers."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from app.api.jobs.models import Job, Person

_Moment = Annotated[str, Meta(examples=["2026-02-10T09:15:00.000Z"])]
_Id = Annotated[str, Meta(min_length=1)]
_Name = Annotated[str, Meta(min_length=1, max_length=255)]
_Tags = Annotated[list[str], Meta(max_length=50)]
_Count = Annotated[int, Meta(ge=0)]
_Day = Annotated[str, Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
Joined = Literal["AND", "OR"]


class Filter(Struct):
    """One condition; `GET /v1/segments/schema` lists the fields, their operators and their further members."""

    field: str
    op: str
    value: Any = UNSET
    name: str | UnsetType = UNSET


class Group(Struct, forbid_unknown_fields=True):
    filters: Annotated[list[Filter], Meta(max_length=200)]
    op: Joined = "AND"


_Groups = Annotated[list[Group], Meta(max_length=50)]
_Apps = Annotated[
    Literal["all", "none"] | list[str], Meta(description="`all`, `none`, or ids of apps of which one was used.")
]


class Definition(Struct, forbid_unknown_fields=True):
    """Who is in it: groups of filters, joined, without whoever matches a group of `exclude`."""

    groups: _Groups | UnsetType = UNSET
    join: Joined | UnsetType = UNSET
    exclude: _Groups | UnsetType = UNSET
    apps: _Apps | UnsetType = UNSET


class SegmentChange(Definition, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    name: _Name | UnsetType = UNSET
    description: Annotated[str, Meta(max_length=2_000)] | UnsetType = UNSET
    tags: _Tags | UnsetType = UNSET
    analytics_tracking_enabled: bool | UnsetType = UNSET


class NewSegment(Definition, forbid_unknown_fields=True, kw_only=True):
    name: _Name
    description: Annotated[str, Meta(max_length=2_000)] | UnsetType = UNSET
    tags: _Tags | UnsetType = UNSET
    analytics_tracking_enabled: bool = False


class PreviewBody(Definition, forbid_unknown_fields=True):
    sample: Annotated[int, Meta(ge=0, le=100, description="People to show; 10 by default.")] | UnsetType = UNSET


class Shown(Struct, forbid_unknown_fields=True, kw_only=True):
    id: _Id
    name: _Name
    description: str
    tags: _Tags
    analytics_tracking_enabled: bool
    created_at: _Moment
    updated_at: _Moment
    groups: list[Any] | UnsetType = UNSET
    join: Joined | UnsetType = UNSET
    exclude: list[Any] | UnsetType = UNSET
    apps: _Apps | UnsetType = UNSET


class One(Shown, forbid_unknown_fields=True, kw_only=True):
    message: Literal["success"]


class All(Struct, forbid_unknown_fields=True):
    segments: list[Shown]
    message: Literal["success"]


class Removed(Struct, forbid_unknown_fields=True):
    message: Literal["success"]


class Preview(Struct, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=0, description="Exactly how many people are in it.")]
    sample: list[Person]
    message: Literal["success"]
    job: Annotated[Job, Meta(description="Where a job counted: it says when.")] | UnsetType = UNSET


class Counting(Struct, forbid_unknown_fields=True):
    """A job counts."""

    job: Job
    message: Literal["success"]


class FilterResult(Struct, forbid_unknown_fields=True):
    part: Literal["groups", "exclude"]
    group: _Count
    filter: _Count
    field: str
    matches: bool


class Reasons(Struct, forbid_unknown_fields=True):
    braze_id: _Id
    in_segment: bool
    filters: list[FilterResult]


class Why(Struct, forbid_unknown_fields=True):
    profiles: list[Reasons]
    message: Literal["success"]


class FieldSchema(Struct, forbid_unknown_fields=True):
    field: str
    type: str
    operators: list[str]
    members: dict[str, str]


class OperatorSchema(Struct, forbid_unknown_fields=True):
    op: str
    value: str


class Schema(Struct, forbid_unknown_fields=True):
    fields: list[FieldSchema]
    operators: list[OperatorSchema]
    message: Literal["success"]


class Listed(Struct, forbid_unknown_fields=True):
    id: _Id
    name: _Name
    analytics_tracking_enabled: bool
    tags: _Tags


class SegmentList(Struct, forbid_unknown_fields=True):
    segments: Annotated[list[Listed], Meta(max_length=100)]
    message: Literal["success"]


class Details(Struct, forbid_unknown_fields=True):
    created_at: _Moment
    updated_at: _Moment
    name: _Name
    description: str
    text_description: str
    tags: _Tags
    teams: Annotated[list[str], Meta(max_length=0)]
    message: Literal["success"]


class Size(Struct, forbid_unknown_fields=True):
    time: _Day
    size: _Count


class DataSeries(Struct, forbid_unknown_fields=True):
    data: list[Size]
    message: Literal["success"]
