"""Flags of people: body and answer."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from app.api.identifiers import Addressed
from app.api.refusals import ObjectRefusal
from app.contract.flags import MAX_ELEMENTS


class FlagChange(Addressed, kw_only=True):
    """A profile, named in one way, and its new flags; one that is left out stays. `alias_name` with `alias_label` may
    stand in place of `user_alias`."""

    alias_name: str | None = None
    alias_label: str | None = None
    test_user: bool | None = None
    global_control_group: Annotated[bool | None, Meta(description="Whoever is in it is never merged.")] = None
    spam_blocked: Annotated[bool | None, Meta(description="A blocked profile takes no further data.")] = None


class FlagsBody(Struct):
    flags: Annotated[list[FlagChange], Meta(min_length=1, max_length=MAX_ELEMENTS)]


class FlagsAccepted(Struct, forbid_unknown_fields=True):
    flags_processed: Annotated[int, Meta(ge=1)]
    message: Literal["success"]
    errors: Annotated[list[ObjectRefusal], Meta(min_length=1)] | UnsetType = UNSET
