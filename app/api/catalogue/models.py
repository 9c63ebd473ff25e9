"""Lists of names."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from app.contract.catalogue import NAMES_PAGE, PAGE

_Name = Annotated[str, Meta(min_length=1, max_length=255)]
_Status = Annotated[Literal["Active", "Blocklisted"], Meta(description="Blocklisted: what is written has no effect.")]
_Tags = Annotated[list[str], Meta(max_length=0)]
_Description = Annotated[str, Meta(max_length=0)]


class EventNames(Struct, forbid_unknown_fields=True):
    events: Annotated[list[_Name], Meta(max_length=PAGE)]
    message: Literal["success"]


class ProductNames(Struct, forbid_unknown_fields=True):
    products: Annotated[list[_Name], Meta(max_length=PAGE)]
    message: Literal["success"]


class EventListed(Struct, forbid_unknown_fields=True):
    name: _Name
    description: _Description
    included_in_analytics_report: bool
    status: _Status
    tag_names: _Tags


class EventList(Struct, forbid_unknown_fields=True):
    events: Annotated[list[EventListed], Meta(max_length=NAMES_PAGE)]
    message: Literal["success"]


class AttributeListed(Struct, forbid_unknown_fields=True):
    name: _Name
    data_type: Annotated[str, Meta(description="The forced type, or the one that was written most often.")]
    description: _Description
    array_length: Annotated[int | None, Meta(description="Most elements of an array; null for other types.")]
    status: _Status
    tag_names: _Tags


class AttributeList(Struct, forbid_unknown_fields=True):
    attributes: Annotated[list[AttributeListed], Meta(max_length=NAMES_PAGE)]
    message: Literal["success"]
