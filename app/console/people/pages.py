"""People: a search, everything about somebody, and every merge that made them one person."""

from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from app.adapters.clock import now_us
from app.console.page import WORKSPACE, Page, RefusedPageError, Visit
from app.console.people import shown
from app.console.people.shown import Listed
from app.contract import addresses, merge_records
from app.contract import people as contract
from app.contract.cursor import Page as Part
from app.contract.errors import RefusedError
from app.domain.commands import STREAM_BULK
from app.domain.history import Happening
from app.domain.merging.plan import MergeRecord
from app.domain.profile import BRAZE
from app.services.caller import Caller
from app.services.merges import MERGED, History
from app.services.refusals import UnknownProfileError

NOBODY: Final = "Nobody in this workspace has this id."
#: Lines of a history that are shown, and merges of a page.
LINES: Final = 100
MERGES: Final = 20


@dataclass(frozen=True, slots=True)
class Why:
    """A merge inside somebody."""

    record: MergeRecord
    request_id: str
    #: The merge rule that found the two; "" where somebody asked for it.
    rule: str
    identifiers: list[str]
    changes: Listed
    lost: Listed
    may_be_undone: bool


async def find_people(visit: Visit) -> Response:
    sought, cursor = visit.query["q"].strip(), visit.query["cursor"]
    parameters = {"cursor": cursor} | ({"search": sought} if sought else {})
    try:
        query = contract.read_query(parameters, addresses.region_of(visit.caller.options))
    except RefusedError as refused:
        return visit.show("people/list.html", 422, sought=sought, people=[], next_cursor=None, wrong=refused.message)
    seen = await visit.services.people.find(visit.caller, query)
    people = []
    for profile in seen.value.profiles:
        row: Any = contract.row(profile)
        aliases = [f"{alias['alias_label']}: {alias['alias_name']}" for alias in row["user_aliases"]]
        people.append((row, shown.name_of(row), shown.text(", ".join(aliases)), profile.updated_us))
    return visit.show("people/list.html", sought=sought, people=people, next_cursor=seen.value.next_cursor, wrong="")


async def show_person(visit: Visit) -> Response:
    braze_id = visit.path["braze_id"]
    part = contract.read_page({"cursor": visit.query["cursor"]})
    try:
        seen = await visit.services.people.show(visit.caller, braze_id, part)
    except UnknownProfileError:
        return await _gone(visit, braze_id)
    history = await visit.services.merges.history(visit.caller, braze_id, Part(LINES))
    return visit.show(
        "people/one.html",
        person=shown.person(seen.value),
        timeline=shown.timeline(visit.caller, seen.value.timeline),
        next_cursor=seen.value.timeline.next_cursor,
        is_first=not visit.query["cursor"],
        lines=_lines(visit.caller, history.value),
        stale=seen.stale,
    )


async def show_why(visit: Visit) -> Response:
    """Every merge, with its request, its key or rule, its time, and both sides."""
    caller, braze_id = visit.caller, visit.path["braze_id"]
    try:
        history = await visit.services.merges.history(caller, braze_id, Part(LINES))
    except UnknownProfileError:
        raise RefusedPageError(404, NOBODY) from None
    part = Part(MERGES, visit.query["cursor"])
    seen = await visit.services.merges.listed(caller, (BRAZE, "", braze_id), part)
    records = seen.value.records
    bulk = [record.origin.seq for record in records if record.origin.stream == STREAM_BULK]
    rules = await visit.services.merge_runs.rules_behind(caller, bulk) if bulk else {}
    now = now_us()
    merges = [
        _why(caller, record, rules.get(record.origin.seq, "") if record.origin.stream == STREAM_BULK else "", now)
        for record in records
    ]
    return visit.show(
        "people/why.html",
        braze_id=braze_id,
        into=history.value.merged_into,
        merges=merges,
        next_cursor=seen.value.next_cursor,
        lines=_lines(caller, history.value),
    )


async def _gone(visit: Visit, braze_id: str) -> Response:
    """Somebody who is not there, and perhaps was."""
    try:
        seen = await visit.services.merges.history(visit.caller, braze_id, Part(LINES))
    except UnknownProfileError:
        raise RefusedPageError(404, NOBODY) from None
    history = seen.value
    return visit.show(
        "people/gone.html",
        404,
        braze_id=braze_id,
        into=history.merged_into if history.status == MERGED else None,
        lines=_lines(visit.caller, history),
    )


def _why(caller: Caller, record: MergeRecord, rule: str, now: int) -> Why:
    has_plan = record.plan is not None and (record.undone is not None or now < record.expires_us)
    plan: Any = merge_records.plan(record.plan) if has_plan and record.plan is not None else {}
    names = [*plan.get("moved_identifiers", ()), *plan.get("retired_identifiers", ())]
    columns = ("kept", "merged", "result")
    return Why(
        record,
        caller.request_id(record.origin.stream, record.origin.seq),
        rule,
        [shown.identifier(each) for each in names[: shown.MOST]],
        shown.changes(plan.get("changes", ()), columns),
        shown.changes(plan.get("lost", ()), columns),
        record.undone is None and has_plan,
    )


def _lines(caller: Caller, history: History) -> list[tuple[Happening, str]]:
    """Lines of a history with their request, the last first."""
    return [(line, caller.request_id(line.origin.stream, line.origin.seq)) for line in reversed(history.lines)]


PAGES: Final = (
    Page(f"{WORKSPACE}/people", find_people, title="People"),
    Page(f"{WORKSPACE}/people/{{braze_id}}", show_person),
    Page(f"{WORKSPACE}/people/{{braze_id}}/why", show_why),
)
