"""Requests: every one with its outcome, found by whom it names; and refused ones by endpoint and error."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from app.console.page import WORKSPACE, Page, Visit
from app.contract import addresses
from app.contract.cursor import Page as LogPage
from app.contract.errors import RefusedError
from app.contract.request_log import IDENTIFIER_NAMES, MOMENT_END, OUTCOMES, Filter, read_filter
from app.domain.commands import STREAM_NAMES
from app.services.caller import Caller
from app.services.refusals import UnknownRequestError
from app.services.request_search import Entry

#: Fields of the form, in its order.
FIELDS: Final = (*IDENTIFIER_NAMES, "status", "key", "endpoint", "from", "to")
PAGE: Final = 50
#: What a live list shows.
LIVE: Final = 30


@dataclass(frozen=True, slots=True)
class Line:
    """A request as the list shows it."""

    entry: Entry
    #: Its id; "" where nothing of it was accepted.
    id: str
    stream: str
    #: (array, position, what became of it) of the objects that name who is asked for.
    objects: list[tuple[str, int, str]]


async def list_requests(visit: Visit) -> Response:
    """The frame: the form, and a list that comes after it."""
    given = _given(visit)
    try:
        _filter(visit, given)
    except RefusedError as error:
        return visit.show("requests/list.html", 422, **_frame(visit, given), wrong=error.message)
    return visit.show("requests/list.html", **_frame(visit, given), wrong="")


async def found(visit: Visit) -> Response:
    """A page of the list, as the frame asks for it."""
    given = _given(visit)
    live = visit.query["live"] == "on"
    try:
        wanted = _filter(visit, given)
        page = LogPage(LIVE if live else PAGE, visit.query["cursor"])
        result = await visit.services.request_log.find(visit.caller, wanted, page)
    except RefusedError as error:
        return visit.show("requests/wrong.html", wrong=error.message)
    return visit.show(
        "requests/found.html",
        lines=[_line(visit.caller, entry) for entry in result.entries],
        more=urlencode({**given, "cursor": result.cursor}) if result.cursor and not live else "",
        back_to_us=result.back_to_us if result.cursor and result.back_to_us < MOMENT_END else None,
        kept=result.kept,
        first=not visit.query["cursor"],
        asked=wanted.wanted is not None,
    )


async def show_request(visit: Visit) -> Response:
    """One accepted request: where it stands, and every object that had no effect."""
    number = visit.path["id"]
    try:
        found_ = await visit.services.reader.request_status(visit.caller, number, 0)
    except UnknownRequestError:
        return visit.show("requests/unknown.html", 404, id=number)
    letter = found_.letter
    again = (
        None
        if letter is None or letter.replayed_seq is None
        else visit.caller.request_id(found_.stream, letter.replayed_seq)
    )
    return visit.show(
        "requests/one.html", id=number, request=found_, stream=STREAM_NAMES[found_.stream], letter=letter, again=again
    )


async def errors(visit: Visit) -> Response:
    """The frame of what was refused, by endpoint and error."""
    given = {name: visit.query[name] for name in ("status", "key", "endpoint", "from", "to")}
    try:
        _filter(visit, given)
    except RefusedError as error:
        return visit.show("requests/errors.html", 422, given=given, query="", wrong=error.message)
    return visit.show("requests/errors.html", given=given, query=urlencode(_sent(given)), wrong="")


async def groups(visit: Visit) -> Response:
    """The groups, as the frame asks for them."""
    given = {name: visit.query[name] for name in ("status", "key", "endpoint", "from", "to")}
    try:
        found_, kept = await visit.services.request_log.errors(visit.caller, _filter(visit, given))
    except RefusedError as error:
        return visit.show("requests/wrong.html", wrong=error.message)
    return visit.show("requests/groups.html", groups=found_, kept=kept)


def _given(visit: Visit) -> dict[str, str]:
    return {name: visit.query[name].strip() if name in ("from", "to") else visit.query[name] for name in FIELDS}


def _sent(given: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in given.items() if value}


def _filter(visit: Visit, given: dict[str, str]) -> Filter:
    """Raises RefusedError(400)."""
    sent = _sent(given)
    for name in ("from", "to"):
        if name in sent and "T" not in sent[name] and len(sent[name]) == len("2026-01-31"):
            sent[name] += "T00:00:00Z"
    return read_filter(sent, addresses.region_of(visit.caller.options))


def _frame(visit: Visit, given: dict[str, str]) -> dict[str, Any]:
    query, live = _sent(given), visit.query["live"] == "on"
    return {
        "given": given,
        "live": live,
        "query": urlencode(query | ({"live": "on"} if live else {})),
        "other": urlencode(query | ({} if live else {"live": "on"})),
        "outcomes": OUTCOMES,
    }


def _line(caller: Caller, entry: Entry) -> Line:
    number = caller.request_id(entry.stream, entry.seq) if entry.seq else ""
    stream = STREAM_NAMES[entry.stream] if entry.seq else ""
    return Line(entry, number, stream, entry.outcomes())


PAGES: Final = (
    Page(f"{WORKSPACE}/requests", list_requests, title="Requests"),
    Page(f"{WORKSPACE}/requests/found", found),
    Page(f"{WORKSPACE}/errors", errors, title="Errors"),
    Page(f"{WORKSPACE}/errors/groups", groups),
    Page(f"{WORKSPACE}/requests/one/{{id}}", show_request),
)
