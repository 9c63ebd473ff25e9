"""How an object names a profile."""

from typing import Annotated

from msgspec import Meta, Struct

Text = Annotated[str, Meta(max_length=255)]
Name = Annotated[str, Meta(min_length=1, max_length=255)]
ExternalId = (
    Annotated[str, Meta(min_length=1, max_length=987, description="At most 987 bytes; compared byte by byte.")] | int
)
BrazeId = Annotated[str, Meta(max_length=255, description="The id that Onefold gave the profile.")]
Email = Annotated[str, Meta(max_length=254, examples=["ada@example.org"])]
Phone = Annotated[str, Meta(max_length=255, examples=["+15043277269"])] | int
Time = Annotated[str, Meta(description="ISO 8601; without an offset it is UTC.", examples=["2026-02-10T09:15:00Z"])]


class UserAlias(Struct):
    """A name for a profile that has no external id yet, unique for its label."""

    alias_name: Annotated[str, Meta(min_length=1, max_length=236)] | int
    alias_label: Annotated[str, Meta(min_length=1, max_length=236)] | int


class Addressed(Struct, kw_only=True):
    """An object names its profile by one of external_id, user_alias and braze_id, else by email, else by phone."""

    external_id: ExternalId | None = None
    user_alias: UserAlias | None = None
    braze_id: BrazeId | None = None
    email: Email | None = None
    phone: Phone | None = None
