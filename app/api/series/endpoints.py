"""The contract's data series of events, purchases, sessions and people, and data points, which are our own."""

from functools import partial
from typing import Annotated, Any, Final

from fastapi import Request
from msgspec import Meta

from app.api.answers import Answer, answered
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import Action, Endpoint
from app.api.refusals import Refusal
from app.api.series.models import (
    DailyActiveSeries,
    DataPointSeries,
    EventSeries,
    MonthlyActiveSeries,
    NewUserSeries,
    QuantitySeries,
    RevenueSeries,
    SessionSeries,
    UninstallSeries,
)
from app.contract import series as contract
from app.contract.series import MAX_DATA_POINTS, MAX_LENGTH
from app.domain import series as kinds
from app.services.caller import Caller
from app.services.registry import Services

PERMISSION: Final = "admin.data_points"

_STALE: Final = {"X-Onefold-Stale": "`true` when some of what was accepted before is not applied yet."}
_EVENT: Final = Parameter("event", "query", str, "The name of a custom event.")
_PRODUCT: Final = Parameter("product", "query", str, "A product; all of them, and orders, by default.")
_UNIT: Final = Parameter("unit", "query", str, "`day` (the default) or `hour`.")
_APP: Final = Parameter("app_id", "query", str, "Only what was sent with this `app_id`.")
_SEGMENT: Final = Parameter("segment_id", "query", str, "Only of people who are in this segment now.")
_ENDING: Final = Parameter("ending_at", "query", str, "A moment of the last day or hour; now by default.")
_LENGTH: Final = Parameter(
    "length", "query", Annotated[int, Meta(ge=1, le=MAX_LENGTH)], "How many days or hours; required."
)
_REACH: Final = (
    " Days and hours are those of the workspace's time zone, the oldest first. Days of the last"
    f" {kinds.DAYS} days are kept and hours of the last {kinds.HOUR_DAYS}; earlier ones are left out."
)
_OF_A_SEGMENT: Final = " Of a segment, days and hours of the last 31 days, by what its present members did."


def _series(title: str, text: str, answer: Any, *parameters: Parameter) -> Documentation:
    segment = _SEGMENT in parameters
    return Documentation(
        title=title,
        tag="Analytics",
        text=text + _REACH + (_OF_A_SEGMENT if segment else ""),
        answers={200: answer, 404: Refusal} if segment else {200: answer},
        parameters=(*parameters, _LENGTH, _ENDING, _APP),
        headers=_STALE,
    )


_EVENTS: Final = _series("How often an event occurred", "By its own time.", EventSeries, _EVENT, _UNIT, _SEGMENT)
_QUANTITIES: Final = _series("How many pieces were bought", "Refunds count as well.", QuantitySeries, _PRODUCT, _UNIT)
_REVENUES: Final = _series(
    "How much was spent",
    "In US dollars, at the rates of the day; which refunds lower. Without `product`, orders count too.",
    RevenueSeries,
    _PRODUCT,
    _UNIT,
)
_SESSIONS: Final = _series("Sessions", "How many began.", SessionSeries, _UNIT, _SEGMENT)
_DAILY: Final = _series("Daily active users", "People with a session on the day.", DailyActiveSeries)
_MONTHLY: Final = _series(
    "Monthly active users", "People with a session on the day or one of the 29 before it.", MonthlyActiveSeries
)
_NEW: Final = _series("New users", "Profiles that were made.", NewUserSeries)
_UNINSTALLS: Final = _series("Uninstalls", "As they were told of.", UninstallSeries)
_POINTS: Final = Documentation(
    title="Data points by day",
    tag="Analytics",
    text="What writes of custom attributes would cost where that is counted, and how much of it clients would not have "
    "sent if they sent what has changed alone. Nothing is ever refused for it.",
    answers={200: DataPointSeries},
    parameters=(
        Parameter("length", "query", Annotated[int, Meta(ge=1, le=MAX_DATA_POINTS)], "Days; 30 by default."),
        Parameter("ending_at", "query", str, "A moment of the last day; now by default."),
    ),
    headers=_STALE,
)


def endpoints(services: Services) -> list[Endpoint]:
    series = services.series

    def action(read: Any, shown: Any) -> Action:
        async def answer(caller: Caller, request: Request) -> Answer:
            question = read(request.query_params)
            found = await series.read(caller, question)
            return answered(200, shown(question, found.value), stale=found.stale)

        return answer

    def counts(kind: int, member: str, *, hours: bool = False, segment: bool = False) -> Action:
        read = partial(contract.read_series, kind=kind, hours=hours, segment=segment)
        return action(read, partial(contract.counts, member=member))

    revenue = action(partial(contract.read_series, kind=kinds.PURCHASES, hours=True), contract.revenue)
    points = action(contract.read_data_points, lambda _question, found: contract.data_points(found))
    sums = (
        ("events.data_series", counts(kinds.EVENTS, "count", hours=True, segment=True), _EVENTS),
        ("purchases.quantity_series", counts(kinds.PURCHASES, "purchase_quantity", hours=True), _QUANTITIES),
        ("purchases.revenue_series", revenue, _REVENUES),
        ("sessions.data_series", counts(kinds.SESSIONS, "sessions", hours=True, segment=True), _SESSIONS),
        ("kpi.dau.data_series", counts(kinds.DAILY_ACTIVE, "dau"), _DAILY),
        ("kpi.mau.data_series", counts(kinds.MONTHLY_ACTIVE, "mau"), _MONTHLY),
        ("kpi.new_users.data_series", counts(kinds.NEW_USERS, "new_users"), _NEW),
        ("kpi.uninstalls.data_series", counts(kinds.UNINSTALLS, "uninstalls"), _UNINSTALLS),
    )
    # The contract names each permission as its path.
    found = [Endpoint("GET", f"/{name.replace('.', '/')}", name, "default", get, told) for name, get, told in sums]
    return [*found, Endpoint("GET", "/v1/data_points", PERMISSION, "default", points, _POINTS)]
