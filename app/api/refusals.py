"""Answers that are not a success: every one has a `message`."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

_Message = Annotated[str, Meta(min_length=1, description="What is wrong, as a sentence. Never `success`.")]


class Refusal(Struct, forbid_unknown_fields=True):
    """The request has no effect."""

    message: _Message


class BodyRefusal(Struct, forbid_unknown_fields=True):
    """The body has no effect. One that is not JSON is also named under `error`."""

    message: _Message
    error: str | UnsetType = UNSET


class RateLimited(Struct, forbid_unknown_fields=True):
    """A limit of the workspace is used up. The request counts nowhere and has no effect."""

    message: _Message
    limit: Annotated[str, Meta(description="The limit that refused.", examples=["burst", "hourly"])]


class ObjectRefusal(Struct, forbid_unknown_fields=True):
    """Why one object of a request is refused; the rest of the request goes on."""

    type: Annotated[str, Meta(min_length=1, description="A sentence.")]
    input_array: Annotated[str, Meta(description="The array that holds the object.")]
    index: Annotated[int, Meta(ge=0, description="The object's place in the array as it was sent.")]
    code: Annotated[str, Meta(description="An upper-case code, where there is one.")] | UnsetType = UNSET
