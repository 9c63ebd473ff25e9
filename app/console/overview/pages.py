"""What is accepted, applied and refused, how far applying is behind, and what waits: live."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from app.adapters.clock import now_us
from app.console.charts import by_minute
from app.console.page import WORKSPACE, Page, Visit
from app.domain.times import MINUTE
from app.services.api_usage import UsageFilter
from app.services.lanes import LaneNow

#: Of the chart.
MINUTES: Final = 60
TAKEN, REFUSED, LIMITED, FAILED = "taken (2xx)", "refused (4xx)", "over a limit (429)", "failed (5xx)"
LABELS: Final = (TAKEN, REFUSED, LIMITED, FAILED)


@dataclass(frozen=True, slots=True)
class Live:
    """A stream as it is now, and how fast it went since the look before; None at the first look."""

    lane: LaneNow
    accepted_per_second: float | None
    applied_per_second: float | None


def label_of(status: int) -> str:
    """The line of a chart that an answer belongs to."""
    if status == 429:
        return LIMITED
    return TAKEN if status < 400 else REFUSED if status < 500 else FAILED


async def overview(visit: Visit) -> Response:
    return visit.show("overview/overview.html")


async def live(visit: Visit) -> Response:
    """The numbers. The address of the next look holds those of this one, so that no process has to remember them."""
    now, lanes = now_us(), await visit.services.lanes.now(visit.caller)
    before = _before(visit.query["before"], len(lanes))
    shown = []
    for n, lane in enumerate(lanes):
        rates: list[float | None] = [None, None]
        if before is not None and now > before[0]:
            seconds = (now - before[0]) / 1_000_000
            accepted, applied = before[1 + 2 * n : 3 + 2 * n]
            rates = [max(0, lane.accepted - accepted) / seconds, max(0, lane.applied - applied) / seconds]
        shown.append(Live(lane, *rates))
    place = ".".join(str(one) for one in (now, *(n for lane in lanes for n in (lane.accepted, lane.applied))))
    return visit.show("overview/live.html", lanes=shown, before=place, problem=await visit.services.readiness())


async def minutes(visit: Visit) -> Response:
    """Answers of the last hour, by what they were, and the most frequent refusals."""
    last = now_us() // MINUTE
    wanted = UsageFilter(last - MINUTES + 1, last)
    counted = await visit.services.usage.minutes(visit.caller, wanted)
    sums = await visit.services.usage.sums(visit.caller, wanted, 1_000)
    chart = by_minute(wanted.first, last, ((minute, label_of(status), n) for minute, status, n in counted), LABELS)
    refusals: dict[tuple[str, int], int] = {}
    for one in sums:
        if one.status >= 400:
            refusals[one.endpoint, one.status] = refusals.get((one.endpoint, one.status), 0) + one.count
    ordered = sorted(refusals.items(), key=lambda item: -item[1])[:20]
    return visit.show("overview/minutes.html", chart=chart, refusals=ordered)


def _before(text: str, streams: int) -> Sequence[int] | None:
    """(time, accepted and applied of each stream) of the look before; None where there was none."""
    parts = text.split(".")
    if len(parts) != 1 + 2 * streams or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        return None
    return [int(part) for part in parts]


PAGES: Final = (
    Page(f"{WORKSPACE}/overview", overview, title="Overview"),
    Page(f"{WORKSPACE}/overview/live", live),
    Page(f"{WORKSPACE}/overview/minutes", minutes),
)
