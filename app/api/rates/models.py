"""Rates of exchange: bodies and answers."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

Currency = Annotated[str, Meta(min_length=3, max_length=3)]
Day = Annotated[str, Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


class FixedRate(Struct, forbid_unknown_fields=True):
    currency: Currency
    usd: Annotated[str, Meta(description="US dollars for one unit, a decimal number.")]
    first: Day = field(name="from")


class Rates(Struct, forbid_unknown_fields=True):
    rates_until: Annotated[Day | None, Meta(description="Last day of the reference rates that are in force.")]
    fixed: list[FixedRate]
    message: Literal["success"]


class RateChange(Struct, forbid_unknown_fields=True):
    """One fixed rate. null takes it away."""

    currency: Annotated[str, Meta(min_length=3)]
    usd: str | float | None
    first: Day = field(name="from")


class RatesChange(Struct, forbid_unknown_fields=True):
    rates: Annotated[list[RateChange], Meta(min_length=1, max_length=1_000)]


class Booking(Struct, forbid_unknown_fields=True):
    cursor: Annotated[str, Meta(description="`next_cursor` of the answer before.")] | UnsetType = UNSET


class Booked(Struct, forbid_unknown_fields=True):
    queued: Annotated[int, Meta(ge=0, description="Profiles with revenue that waits for a rate.")]
    message: Literal["success"]
    next_cursor: Annotated[str, Meta(description="There are more: call again with it.")] | UnsetType = UNSET
