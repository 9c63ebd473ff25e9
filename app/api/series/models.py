"""Answers of series."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

_Day = Annotated[str, Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
_Time = Annotated[
    str, Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+Z)?$", description="A day, or when an hour began.")
]
_Count = Annotated[int, Meta(ge=0)]


class EventCount(Struct, forbid_unknown_fields=True):
    time: _Time
    count: _Count


class EventSeries(Struct, forbid_unknown_fields=True):
    data: list[EventCount]
    message: Literal["success"]


class Quantity(Struct, forbid_unknown_fields=True):
    time: _Time
    purchase_quantity: _Count


class QuantitySeries(Struct, forbid_unknown_fields=True):
    data: list[Quantity]
    message: Literal["success"]


class Revenue(Struct, forbid_unknown_fields=True):
    time: _Time
    revenue: Annotated[float, Meta(description="US dollars.")]


class RevenueSeries(Struct, forbid_unknown_fields=True):
    data: list[Revenue]
    message: Literal["success"]


class SessionCount(Struct, forbid_unknown_fields=True):
    time: _Time
    sessions: _Count


class SessionSeries(Struct, forbid_unknown_fields=True):
    data: list[SessionCount]
    message: Literal["success"]


class DailyActive(Struct, forbid_unknown_fields=True):
    time: _Day
    dau: _Count


class DailyActiveSeries(Struct, forbid_unknown_fields=True):
    data: list[DailyActive]
    message: Literal["success"]


class MonthlyActive(Struct, forbid_unknown_fields=True):
    time: _Day
    mau: _Count


class MonthlyActiveSeries(Struct, forbid_unknown_fields=True):
    data: list[MonthlyActive]
    message: Literal["success"]


class NewUsers(Struct, forbid_unknown_fields=True):
    time: _Day
    new_users: _Count


class NewUserSeries(Struct, forbid_unknown_fields=True):
    data: list[NewUsers]
    message: Literal["success"]


class Uninstalls(Struct, forbid_unknown_fields=True):
    time: _Day
    uninstalls: _Count


class UninstallSeries(Struct, forbid_unknown_fields=True):
    data: list[Uninstalls]
    message: Literal["success"]


class DataPoints(Struct, forbid_unknown_fields=True):
    time: _Day
    data_points: _Count
    saved_by_deltas: Annotated[
        int, Meta(ge=0, description="How many of them repeated what was there: nobody who sends deltas sends them.")
    ]


class DataPointSeries(Struct, forbid_unknown_fields=True):
    data: list[DataPoints]
    message: Literal["success"]
