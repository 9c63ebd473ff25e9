"""Dead letters: requests that could not be applied, and sending them again. Bodies are not shown."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from app.console.page import WORKSPACE, Page, Visit
from app.contract import kinds
from app.contract.dead_letters import Filter, read_page
from app.contract.errors import DELETIONS_PENDING, RefusedError
from app.domain.commands import STREAM_NAMES
from app.services.accounts import OPERATOR
from app.services.dead_letters import Letter
from app.services.refusals import DeletionsPendingError

FIELDS: Final = ("reason", "kind", "from", "to", "replayed")
PAGE: Final = "50"
NONE_CHOSEN: Final = "Choose the letters that are to be sent again."


@dataclass(frozen=True, slots=True)
class Row:
    """A letter as the list shows it."""

    letter: Letter
    id: str
    kind: str
    stream: str
    #: Id of the request that it was sent as again; "" = it was not.
    again: str


async def list_letters(visit: Visit) -> Response:
    given = {name: visit.query[name] for name in FIELDS}
    try:
        page = read_page({**_sent(given), "limit": PAGE, "cursor": visit.query["cursor"] or "0"})
    except RefusedError as error:
        return visit.show("dead_letters/list.html", 422, **_values(given), wrong=error.message, rows=[], more="")
    found = await visit.services.dead_letters.listed(visit.caller, page)
    rows = [_row(visit, letter) for letter in found.letters]
    more = urlencode({**given, "cursor": found.letters[-1].accepted_us}) if found.more else ""
    return visit.show("dead_letters/list.html", **_values(given), wrong="", rows=rows, more=more)


async def replay(visit: Visit) -> Response:
    """Send those that were chosen, or all that the filter selects: each once."""
    form = visit.form
    given = {name: form[name] for name in FIELDS if name != "replayed"}
    back = f"/dead-letters?{urlencode(_sent(given))}" if any(given.values()) else "/dead-letters"
    wanted: list[str] | Filter
    if form["what"] == "all":
        visit.target = "all that match"
        wanted = read_page(_sent(given)).filter
    else:
        wanted = list(dict.fromkeys(form.all("id")))
        if not wanted:
            return visit.go(back, NONE_CHOSEN)
        visit.target = wanted[0] if len(wanted) == 1 else f"{len(wanted)} letters"
    try:
        done = await visit.services.dead_letters.replay(visit.caller, wanted)
    except DeletionsPendingError:
        return visit.go(back, f"{DELETIONS_PENDING}. Try again in a moment.")
    told = [f"{len(done.sent)} sent again."]
    if done.gone:
        told.append(f"{len(done.gone)} cannot be: their bodies are gone.")
    if done.unknown:
        told.append(f"{len(done.unknown)} are no dead letters of this workspace.")
    if done.more:
        told.append("There are more: send again.")
    return visit.go(back, " ".join(told))


def _sent(given: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in given.items() if value}


def _values(given: dict[str, str]) -> dict[str, Any]:
    return {"given": given, "kinds": list(kinds.BY_NAME), "may_send": any(given.values())}


def _row(visit: Visit, letter: Letter) -> Row:
    again = letter.replayed_seq
    return Row(
        letter,
        visit.caller.request_id(letter.stream, letter.seq),
        kinds.name_of(letter.kind),
        STREAM_NAMES[letter.stream],
        "" if again is None else visit.caller.request_id(letter.stream, again),
    )


PAGES: Final = (
    Page(f"{WORKSPACE}/dead-letters", list_letters, title="Dead letters"),
    Page(f"{WORKSPACE}/dead-letters/replay", replay, role=OPERATOR, method="POST", act="dead_letters.replay"),
)
