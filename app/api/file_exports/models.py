"""Exports to files: what is asked for, and where the file will be."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from app.api.jobs.models import Job


class _Wanted(Struct, kw_only=True):
    callback_endpoint: (
        Annotated[str, Meta(description='A URL that is told `{"success": true, "url": …}` or `{"success": false}`.')]
        | None
    ) = None
    fields_to_export: Annotated[list[str], Meta(description="Fields to give back; all when left out.")] | None = None
    custom_attributes_to_export: (
        Annotated[list[str], Meta(max_length=500, description="Instead of all custom attributes.")] | None
    ) = None
    output_format: Literal["zip", "gzip"] | None = None


class SegmentBody(_Wanted, kw_only=True):
    """A segment, and what is wanted of its members."""

    segment_id: str


class SegmentNamed(Struct):
    segment_id: str


class Cancelled(Struct, forbid_unknown_fields=True):
    message: Literal["success"]


class ControlGroupBody(_Wanted, kw_only=True):
    """Nothing has to be said."""


class Archive(Struct, forbid_unknown_fields=True):
    job: Job
    url: Annotated[str, Meta(description="Works once the job is done. It needs no key.")]
    message: Literal["success"]


class Started(Struct, forbid_unknown_fields=True):
    object_prefix: Annotated[str, Meta(description="The job's id, `-`, and when it was asked for in epoch seconds.")]
    url: Annotated[str, Meta(description="Works once the job is done. It needs no key.")]
    message: Literal["success"]
