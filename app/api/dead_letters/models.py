"""Dead letters: the list, and what sending them again came to."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field


class DeadLetter(Struct, forbid_unknown_fields=True):
    """A request that could not be applied."""

    id: str
    stream: Literal["normal", "bulk"]
    kind: Annotated[str, Meta(examples=["track", "merge"])]
    reason: Annotated[str, Meta(description="Class of the error.")]
    accepted_at: str
    dead_at: str
    bytes: Annotated[int, Meta(ge=0, description="Of the body; 0 once it is gone.")]
    replayed_as: Annotated[str, Meta(description="The request that it was sent as again.")] | UnsetType = UNSET
    replayed_at: str | UnsetType = UNSET


class DeadLetters(Struct, forbid_unknown_fields=True):
    dead_letters: list[DeadLetter]
    message: Literal["success"]
    next_cursor: Annotated[str, Meta(description="`cursor` of the next page.")] | UnsetType = UNSET


class Chosen(Struct, forbid_unknown_fields=True):
    """Letters that can still be sent; what is left out stands for any. Times are those of acceptance."""

    reason: str | UnsetType = UNSET
    kind: str | UnsetType = UNSET
    from_: Annotated[str, Meta(description="Inclusive.")] | UnsetType = field(name="from", default=UNSET)
    to: Annotated[str, Meta(description="Exclusive.")] | UnsetType = UNSET


class ReplayBody(Struct, forbid_unknown_fields=True):
    """Either of the two."""

    ids: Annotated[list[str], Meta(min_length=1, max_length=500)] | UnsetType = UNSET
    filter: Chosen | UnsetType = UNSET


class Replayed(Struct, forbid_unknown_fields=True):
    id: str
    replayed_as: str


class NotReplayed(Struct, forbid_unknown_fields=True):
    id: str
    reason: Literal["not_a_dead_letter", "body_is_gone"]


class Replay(Struct, forbid_unknown_fields=True):
    replayed: Annotated[list[Replayed], Meta(description="Now or before.")]
    not_replayed: list[NotReplayed]
    more: Annotated[bool, Meta(description="The filter matches more than one call sends.")]
    message: Literal["success"]
