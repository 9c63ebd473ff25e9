"""Blocked profiles: answers."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType


class Blocked(Struct, forbid_unknown_fields=True, kw_only=True):
    """A blocked profile, and how much it has of what profiles are blocked for."""

    braze_id: str
    sessions: Annotated[int, Meta(ge=0)]
    event_names: Annotated[int, Meta(ge=0, description="Different names of custom events.")]
    product_ids: Annotated[int, Meta(ge=0, description="Different products that were bought.")]
    external_id: str | UnsetType = UNSET


class SpamBlocks(Struct, forbid_unknown_fields=True):
    spam_blocks: list[Blocked]
    message: Literal["success"]
    next_cursor: Annotated[str, Meta(min_length=1, description="There is more.")] | UnsetType = UNSET


class Lifted(Struct, forbid_unknown_fields=True):
    message: Literal["success"]
