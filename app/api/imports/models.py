"""Importing users: body and answer."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from app.api.refusals import ObjectRefusal
from app.contract.users import MAX_USERS


class ImportBody(Struct):
    users: Annotated[
        list[dict[str, Any]],
        Meta(min_length=1, max_length=MAX_USERS, description="As `/users/export/ids` or `onefold export` shows them."),
    ]
    overwrite: Annotated[bool | None, Meta(description="What is told goes before what is here.")] = None


class ImportAccepted(Struct, forbid_unknown_fields=True):
    users_processed: Annotated[int, Meta(ge=1)]
    message: Literal["success"]
    errors: Annotated[list[ObjectRefusal], Meta(min_length=1)] | UnsetType = UNSET
