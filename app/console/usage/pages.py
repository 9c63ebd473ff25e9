"""Which key called which endpoint how often, and how it was answered, over the time for which answers are counted."""

from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from app.adapters.clock import now_us
from app.console.charts import by_minute
from app.console.overview.pages import LABELS, label_of
from app.console.page import WORKSPACE, Page, Visit
from app.domain.times import MINUTE
from app.services.api_usage import Sum, UsageFilter

#: Hours that can be looked at: answers are counted for ONEFOLD_USAGE_HOURS.
HOURS: Final = (1, 6, 24, 48)
MOST: Final = 500
_LONGEST: Final = 255


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: the sum, and the name of the key or app whose id it has."""

    name: str
    sum: Sum


async def usage(visit: Visit) -> Response:
    names = await _names(visit)
    return visit.show(
        "usage/usage.html",
        hours=HOURS,
        chosen=_hours(visit),
        names=names,
        key=visit.query["key"],
        endpoint=visit.query["endpoint"],
        query=visit.request.url.query,
    )


async def figures(visit: Visit) -> Response:
    """The chart and the table, which come after the frame."""
    last = now_us() // MINUTE
    wanted = UsageFilter(
        last - _hours(visit) * 60 + 1,
        last,
        visit.query["key"][:_LONGEST] or None,
        visit.query["endpoint"].strip()[:_LONGEST] or None,
    )
    sums = await visit.services.usage.sums(visit.caller, wanted, MOST)
    counted = await visit.services.usage.minutes(visit.caller, wanted)
    names = await _names(visit)
    chart = by_minute(wanted.first, last, ((minute, label_of(status), n) for minute, status, n in counted), LABELS)
    rows = [Row(names.get(one.key_id, one.key_id or "no key"), one) for one in sums]
    return visit.show("usage/figures.html", chart=chart, rows=rows, most=MOST)


async def _names(visit: Visit) -> dict[str, str]:
    """{public id: name} of the keys and the apps of the workspace."""
    keys = {key.key_id: key.name for key in await visit.services.api_keys.listed(visit.caller)}
    return keys | {app.id: f"{app.name} (app)" for app in await visit.services.apps.listed(visit.caller)}


def _hours(visit: Visit) -> int:
    try:
        wanted = visit.query.whole("hours")
    except ValueError:
        wanted = None
    return wanted if wanted in HOURS else HOURS[0]


PAGES: Final = (
    Page(f"{WORKSPACE}/usage", usage, title="API usage"),
    Page(f"{WORKSPACE}/usage/figures", figures),
)
