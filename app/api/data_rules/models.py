"""Names of attributes, events and products, and the rules about them."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Type = Literal["boolean", "number", "string", "time", "array", "object", "object_array"]
Fault = Literal["MISSING_PROPERTY", "EXTRA_PROPERTY", "UNEXPECTED_DATA_TYPE", "INVALID_VALUE"]
_Name = Annotated[str, Meta(min_length=1, max_length=255)]
_Maximum = Annotated[int, Meta(ge=1, le=10_000, description="Elements of its arrays; the default is 500.")]
_Next = Annotated[str, Meta(description="`cursor` of the next page.")] | UnsetType
_Count = Annotated[int, Meta(ge=0)]


class Attribute(Struct, forbid_unknown_fields=True):
    name: _Name
    types: Annotated[dict[str, int], Meta(description="Type: how often it got another value of this type.")]
    type: Annotated[Type | None, Meta(description="The forced type.")]
    array_max: _Maximum | None
    blocked: bool


class Attributes(Struct, forbid_unknown_fields=True):
    attributes: list[Attribute]
    message: Literal["success"]
    next_cursor: _Next = UNSET


class Name(Struct, forbid_unknown_fields=True):
    name: _Name
    count: _Count
    blocked: bool


class Event(Name, forbid_unknown_fields=True):
    refused: (
        Annotated[
            dict[Fault, int],
            Meta(description="Of a recommended e-commerce event: how often it was refused, by what was wrong with it."),
        ]
        | UnsetType
    ) = UNSET


class Events(Struct, forbid_unknown_fields=True):
    events: list[Event]
    message: Literal["success"]
    next_cursor: _Next = UNSET


class Products(Struct, forbid_unknown_fields=True):
    products: list[Name]
    message: Literal["success"]
    next_cursor: _Next = UNSET


class AttributeRule(Struct, forbid_unknown_fields=True):
    """At least one member beside the name. What is left out stays as it is."""

    name: _Name
    type: Type | UnsetType | None = UNSET
    array_max: _Maximum | UnsetType | None = UNSET
    blocked: bool | UnsetType | None = UNSET


class EventRule(Struct, forbid_unknown_fields=True):
    name: _Name
    blocked: bool


class AttributeDecided(Struct, forbid_unknown_fields=True):
    """What is in force now."""

    name: _Name
    type: Type | None
    array_max: _Maximum | None
    blocked: bool
    message: Literal["success"]


class NameDecided(Struct, forbid_unknown_fields=True):
    """What is in force now."""

    name: _Name
    blocked: bool
    message: Literal["success"]
