"""Limits of a workspace."""

from typing import Annotated, Literal

from msgspec import Meta, Struct


class Limit(Struct, forbid_unknown_fields=True):
    """One limit. A group with several has to be within all of them; one that is shared is shown for each group."""

    group: Annotated[str, Meta(description="Endpoints that it counts.", examples=["track", "export-ids"])]
    name: Annotated[str, Meta(description="What a 429 calls it.", examples=["burst", "hourly"])]
    requests: Annotated[int, Meta(ge=1)]
    window_seconds: Annotated[int, Meta(ge=1)]
    refill: Literal["continuous", "clock_hour"]
    remaining: Annotated[int | None, Meta(description="null while Redis is away.")]
    full_at: Annotated[str | None, Meta(description="null when it is full.")]


class UsedMinute(Struct, forbid_unknown_fields=True):
    """Requests of one minute."""

    minute: str
    admitted: Annotated[int, Meta(ge=0)]
    refused: Annotated[int, Meta(ge=0)]


class Usage(Struct, forbid_unknown_fields=True):
    """What one key called of one group of endpoints in the last 24 hours. Minutes without requests are left out."""

    key: str
    key_id: str
    group: str
    admitted: Annotated[int, Meta(ge=0)]
    refused: Annotated[int, Meta(ge=0, description="Number of 429s.")]
    minutes: list[UsedMinute]


class Limits(Struct, forbid_unknown_fields=True):
    """The limits in force."""

    plan: str
    max_objects_combined: int | None
    max_objects_per_array: int | None
    hourly_refill: Literal["continuous", "clock_hour"]
    track_reset_style: Literal["epoch", "seconds", "mau"]
    limits: list[Limit]
    usage: Annotated[list[Usage] | None, Meta(description="null while Redis is away.")]
    degraded: Annotated[bool, Meta(description="Redis is away, and processes hand out their share of the limits.")]
    message: Literal["success"]
