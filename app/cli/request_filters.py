"""Options that select requests of the log, and how one is shown on a line."""

from collections.abc import Mapping
from typing import Annotated, Final

import typer
from rich.text import Text

from app.cli.context import fail
from app.contract import addresses
from app.contract.errors import RefusedError
from app.contract.request_log import APPLIED, DEAD, OUTCOMES, QUEUED, REFUSED, SKIPPED, Filter, read_filter
from app.domain import times
from app.services.caller import Caller
from app.services.request_search import Entry

ExternalId = Annotated[str | None, typer.Option("--external-id", help="Those that name it.")]
Email = Annotated[str | None, typer.Option("--email", help="Those that name it.")]
Phone = Annotated[str | None, typer.Option("--phone", help="Those that name it.")]
BrazeId = Annotated[str | None, typer.Option("--braze-id", help="Those that name it.")]
AliasName = Annotated[str | None, typer.Option("--alias-name", help="Those that name it, with --alias-label.")]
AliasLabel = Annotated[str | None, typer.Option("--alias-label", help="Of --alias-name.")]
Status = Annotated[
    str | None, typer.Option("--status", help=f"{', '.join(OUTCOMES)}; or an HTTP status such as 429, 4xx or 5xx.")
]
Key = Annotated[str | None, typer.Option("--key", help="Name of the API key.")]
EndpointName = Annotated[
    str | None, typer.Option("--endpoint", help="Path of the endpoint of refused ones, or kind of accepted ones.")
]
From = Annotated[str | None, typer.Option("--from", help="At this time or later.")]
To = Annotated[str | None, typer.Option("--to", help="Before this time.")]

_STYLES: Final = {APPLIED: "green", SKIPPED: "yellow", QUEUED: "cyan", DEAD: "bold red", REFUSED: "red"}
_WIDTH: Final = max(map(len, OUTCOMES))


def filter_of(caller: Caller, given: Mapping[str, str | None]) -> Filter:
    """What the options select. Ends the command for what is no filter."""
    try:
        region = addresses.region_of(caller.options)
        return read_filter({name: value for name, value in given.items() if value is not None}, region)
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
