"""Options that select requests of the log, and how one is shown on a line."""

from collections.abc import Mapping
from typing import Annotated, Final

import typer
from rich.text import Text

from app.cli.context import fail
from app.cli.options import Options, given
from app.contract import addresses
from app.contract.errors import RefusedError
from app.contract.request_log import APPLIED, DEAD, OUTCOMES, QUEUED, REFUSED, SKIPPED, Filter, read_filter
from app.domain import times
from app.services.caller import Caller
from app.services.request_search import Entry

#: Somebody whom a request names.
NAMED: Final[Options] = {
    name: Annotated[str | None, typer.Option(f"--{name.replace('_', '-')}", help=help_)]
    for name, help_ in {
        "external_id": "Those that name it.",
        "email": "Those that name it.",
        "phone": "Those that name it.",
        "braze_id": "Those that name it.",
        "device_id": "Those that its SDK sent.",
        "alias_name": "Those that name it, with --alias-label.",
        "alias_label": "Of --alias-name.",
    }.items()
}
#: What a request was, and what became of it.
OUTCOME: Final[Options] = {
    "status": Annotated[
        str | None, typer.Option("--status", help=f"{', '.join(OUTCOMES)}; or an HTTP status such as 429, 4xx or 5xx.")
    ],
    "key": Annotated[str | None, typer.Option("--key", help="Name of the API key.")],
    "endpoint": Annotated[
        str | None, typer.Option("--endpoint", help="Path of the endpoint of refused ones, or kind of accepted ones.")
    ],
}
#: When it was accepted or refused.
TIMES: Final[Options] = {
    "from_": Annotated[str | None, typer.Option("--from", help="At this time or later.")],
    "to": Annotated[str | None, typer.Option("--to", help="Before this time.")],
}

_STYLES: Final = {APPLIED: "green", SKIPPED: "yellow", QUEUED: "cyan", DEAD: "bold red", REFUSED: "red"}
_WIDTH: Final = max(map(len, OUTCOMES))


def filter_of(caller: Caller, options: Mapping[str, str | None]) -> Filter:
    """What the options select. Ends the command for what is no filter."""
    try:
        region = addresses.region_of(caller.options)
        return read_filter({name.removesuffix("_"): value for name, value in given(options).items()}, region)
    except RefusedError as refused:
        raise fail(refused.message) from None


def line_of(caller: Caller, entry: Entry) -> Text:
    """A request on one line, in colours where the terminal has them."""
    what = entry.kind or entry.endpoint
    number = caller.request_id(entry.stream, entry.seq) if entry.seq else "-"
    line = Text()
    line.append(times.iso(entry.us), "dim")
    line.append(f" {entry.outcome:{_WIDTH}}", _STYLES[entry.outcome])
    line.append(f" {entry.status or '':>3} {printable(what)}")
    line.append(f" {printable(entry.key_name) or '-'}", "blue")
    line.append(f" {number}", "dim")
    if why := why_of(entry):
        line.append(f" {why}")
    return line


def why_of(entry: Entry) -> str:
    """What had no effect, in a few words; "" = nothing."""
    if entry.reason:
        return entry.reason
    reasons = [reason for _, _, _, reason in entry.skipped] or [type_ for type_, _, _, _ in entry.errors]
    told = "; ".join(
        reason if reasons.count(reason) == 1 else f"{reason} x{reasons.count(reason)}"
        for reason in dict.fromkeys(reasons)
    )
    return f"{told} (and {entry.count - 1} more like it)" if entry.count > 1 else told


def printable(text: str) -> str:
    """The text without what would move the cursor."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
