"""Test mode: bodies and answers."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from app.contract.testing import MAX_ADVANCE_SECONDS, MAX_LATENCY_MS, MAX_PATHS, MAX_RETRY_SECONDS, MAX_TIMES

Latency = Annotated[int, Meta(ge=0, le=MAX_LATENCY_MS, description="The answer comes so much later.")]
Wait = Annotated[int, Meta(ge=1, le=MAX_RETRY_SECONDS, description="What a 429 or a 503 tells; 1 unless it is given.")]
Times = Annotated[int, Meta(ge=1, le=MAX_TIMES, description="So many calls.")]


class NewFault(Struct, forbid_unknown_fields=True):
    """What is to go wrong with calls of the key that asks: `latency_ms`, `status`, or both."""

    latency_ms: Latency | UnsetType = UNSET
    status: Annotated[Literal[429, 500, 502, 503, 504], Meta(description="The call has no effect.")] | UnsetType = UNSET
    retry_after_seconds: Wait | UnsetType = UNSET
    times: Annotated[Times | None, Meta(description="null = all calls.")] | UnsetType = UNSET
    paths: Annotated[list[str], Meta(min_length=1, max_length=MAX_PATHS)] | UnsetType | None = UNSET


class ShownFault(Struct, forbid_unknown_fields=True):
    """A fault that is in force."""

    latency_ms: Latency
    status: Literal[429, 500, 502, 503, 504] | None
    retry_after_seconds: Wait
    times: Annotated[Times | None, Meta(description="Calls that it is left for; null = all.")]
    paths: Annotated[list[str], Meta(description="Empty = every endpoint outside of /v1/test.")]


class TheFault(Struct, forbid_unknown_fields=True):
    fault: ShownFault | None
    message: Literal["success"]


class Renewed(Struct, forbid_unknown_fields=True):
    message: Literal["success"]


class NewTime(Struct, forbid_unknown_fields=True):
    """One of `now` and `advance_seconds`, or the present time where it is to stand still."""

    now: Annotated[str, Meta(description="From 2000 to 2099.")] | UnsetType = UNSET
    advance_seconds: Annotated[float, Meta(ge=0, le=MAX_ADVANCE_SECONDS)] | UnsetType = UNSET
    frozen: Annotated[bool, Meta(description="As before unless it is given.")] | UnsetType = UNSET


class TheTime(Struct, forbid_unknown_fields=True):
    now: str
    frozen: bool
    message: Literal["success"]
