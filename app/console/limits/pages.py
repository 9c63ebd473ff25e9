"""API limits: what each bucket has left, who was refused, what the plan says; changed by the rules of the API."""

import json
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from app.adapters.clock import now_us
from app.console.charts import by_minute
from app.console.forms import Form
from app.console.page import WORKSPACE, Page, Visit
from app.contract.errors import RefusedError
from app.contract.limits import LIMIT_TOO_HIGH, read_change
from app.contract.plans import GROUPS, PLANS, REFILLS, RESET_STYLES, TRACK_BULK
from app.domain.times import MINUTE
from app.services.accounts import ADMIN
from app.services.limits import LimitsNow
from app.services.refusals import LimitTooHighError

#: Of the chart.
MINUTES: Final = 60
ADMITTED, REFUSED = "admitted", "refused (429)"
_NUMBERS: Final = (
    "track_hourly_limit", "track_burst_limit", "burst_window_seconds", "max_objects_combined", "max_objects_per_array",
)  # fmt: skip
_WORDS: Final = ("plan", "hourly_refill", "track_reset_style")
_NO_NUMBER: Final = "A limit is a whole number; an empty field is what the plan says."


@dataclass(frozen=True, slots=True)
class Used:
    """What a key called in the last hour."""

    key_name: str
    group: str
    admitted: int
    refused: int


async def limits(visit: Visit) -> Response:
    return await _show(visit, Form())


async def live(visit: Visit) -> Response:
    """What is left of each bucket, now."""
    now = await visit.services.limits.left(visit.caller)
    return visit.show("limits/live.html", limits=now.limits, degraded=now.usage is None)


async def used(visit: Visit) -> Response:
    """Calls of the last hour by minute, and by key."""
    now = await visit.services.limits.show(visit.caller)
    last = now_us() // MINUTE
    first = last - MINUTES + 1
    counts = [
        (minute, label, number)
        for usage in now.usage or ()
        for minute, admitted, refused in usage.minutes
        for label, number in ((ADMITTED, admitted), (REFUSED, refused))
    ]
    return visit.show(
        "limits/used.html",
        chart=by_minute(first, last, counts, (ADMITTED, REFUSED)),
        rows=_by_key(now, first),
        degraded=now.usage is None,
    )


async def change_track(visit: Visit) -> Response:
    """The limits of /users/track, all at once; an empty field is what the plan says."""
    visit.target = "track"
    try:
        document: dict[str, Any] = {name: visit.form.whole(name) for name in _NUMBERS}
    except ValueError:
        return await _show(visit, visit.form, _NO_NUMBER)
    return await _change(visit, document | {name: visit.form[name] for name in _WORDS})


async def change_group(visit: Visit) -> Response:
    """The limit of one group of endpoints: another one, the default, or that of /users/track."""
    form, group = visit.form, visit.form["group"]
    visit.target = group if group in GROUPS else ""
    how: object = None
    if form["how"] == "plan":
        how = "plan"
    elif form["how"] == "own":
        try:
            how = {"requests": form.whole("requests"), "window_seconds": form.whole("window_seconds")}
        except ValueError:
            return await _show(visit, form, _NO_NUMBER)
    return await _change(visit, {"groups": {group: how}})


async def _change(visit: Visit, document: dict[str, Any]) -> Response:
    try:
        await visit.services.limits.change(visit.caller, *read_change(json.dumps(document).encode()))
    except RefusedError as refused:
        return await _show(visit, visit.form, refused.message)
    except LimitTooHighError as refused:
        return await _show(visit, visit.form, LIMIT_TOO_HIGH % (refused.name, refused.requests, refused.seconds))
    return visit.go("/limits", "The limits are changed. Other processes follow within seconds.")


async def _show(visit: Visit, form: Form, wrong: str = "") -> Response:
    """The page; with what was typed where something was wrong with it."""
    now = await visit.services.limits.left(visit.caller)
    record = now.workspace
    plan = PLANS[record.plan]
    stored = {
        "plan": record.plan,
        "track_hourly_limit": record.hourly_limit,
        "track_burst_limit": record.burst_limit,
        "burst_window_seconds": record.burst_window_seconds,
        "hourly_refill": record.hourly_refill,
        "track_reset_style": record.track_reset_style,
        "max_objects_combined": record.max_objects_combined,
        "max_objects_per_array": record.max_objects_per_array,
    }
    values = {name: "" if value is None else value for name, value in stored.items()}
    values |= {name: form[name] for name in stored if name in form}
    groups = {name: f"{group.limit:,} in {group.window_seconds} s" for name, group in GROUPS.items()}
    return visit.show(
        "limits/limits.html",
        422 if wrong else 200,
        wrong=wrong,
        values=values,
        form=form,
        plan=plan,
        plans=list(PLANS),
        refills=REFILLS,
        styles=RESET_STYLES,
        groups=groups,
        own=record.group_limits,
        bulk=TRACK_BULK,
    )


def _by_key(now: LimitsNow, first: int) -> list[Used]:
    rows = [
        Used(
            usage.key_name,
            usage.group,
            sum(admitted for minute, admitted, _ in usage.minutes if minute >= first),
            sum(refused for minute, _, refused in usage.minutes if minute >= first),
        )
        for usage in now.usage or ()
    ]
    return sorted((row for row in rows if row.admitted or row.refused), key=lambda row: (-row.refused, -row.admitted))


PAGES: Final = (
    Page(f"{WORKSPACE}/limits", limits, title="API limits"),
    Page(f"{WORKSPACE}/limits/live", live),
    Page(f"{WORKSPACE}/limits/used", used),
    Page(f"{WORKSPACE}/limits/track", change_track, role=ADMIN, method="POST", act="limits.track"),
    Page(f"{WORKSPACE}/limits/group", change_group, role=ADMIN, method="POST", act="limits.group"),
)
