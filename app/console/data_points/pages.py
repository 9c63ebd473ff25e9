"""Data points: what writes of attributes would cost where that is counted, and what deltas would save, by day."""

from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from app.console.page import WORKSPACE, Page, Visit
from app.contract import series as contract
from app.contract.series import DAY, MAX_DATA_POINTS

DAYS: Final = "30"


@dataclass(frozen=True, slots=True)
class Row:
    """A day."""

    day: str
    points: int
    #: Those of them that clients would save that send only what has changed.
    saved: int


async def frame(visit: Visit) -> Response:
    days = visit.query["days"].strip() or DAYS
    wrong = "" if _is_length(days) else f"Days are a number from 1 to {MAX_DATA_POINTS}."
    return visit.show("data_points/frame.html", 422 if wrong else 200, days=days, wrong=wrong)


async def figures(visit: Visit) -> Response:
    """The days, as the frame asks for them."""
    question = contract.read_data_points({"length": visit.query["days"].strip() or DAYS})
    seen = await visit.services.series.read(visit.caller, question)
    rows = [Row(contract.time_of(DAY, at), points, saved) for at, points, saved in reversed(seen.value)]
    return visit.show(
        "data_points/figures.html",
        rows=rows,
        points=sum(row.points for row in rows),
        saved=sum(row.saved for row in rows),
        most=max((row.points for row in rows), default=0),
        stale=seen.stale,
    )


def _is_length(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= MAX_DATA_POINTS


PAGES: Final = (
    Page(f"{WORKSPACE}/data-points", frame, title="Data points"),
    Page(f"{WORKSPACE}/data-points/figures", figures),
)
