"""`onefold rates`: fixed rates of a workspace, and booking revenue that had none."""

from typing import Annotated

import msgspec
import typer

from app.adapters.clock import now_us
from app.cli.context import DEFAULT_DATA_DIR, DEFAULT_WORKSPACE, DataDir, InWorkspace, fail, opened_workspace
from app.cli.output import AsJson, out, show_list
from app.contract import rates as contract
from app.contract.errors import RefusedError
from app.domain.commands import STREAM_BULK
from app.services import rates
from app.services.accepting.direct import enqueue
from app.services.data_rules import settings_of

app = typer.Typer(help="Rates of exchange: fixed ones, and booking what had none.", no_args_is_help=True)


@app.command("list")
def list_rates(
    workspace: InWorkspace = DEFAULT_WORKSPACE, as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR
) -> None:
    """Fixed rates: US dollars for one unit, from a day on. They go before the reference rates."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        settings = settings_of(database, caller.workspace_id)
    rows = [
        ((currency, text, contract.day_text(day)), {"currency": currency, "usd": text, "from": contract.day_text(day)})
        for currency, entries in sorted(settings.fixed_rates.items())
        for day, text in sorted(entries)
    ]
    show_list(("currency", "usd", "from"), rows, as_json=as_json)


@app.command("set")
def set_rate(
    currency: str,
    usd: Annotated[str, typer.Argument(help="US dollars for one unit; none takes the rate away.")],
    first: Annotated[str, typer.Option("--from", help="First day on which it is valid, YYYY-MM-DD.")],
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Fix a rate: in force for everything that is accepted from now on."""
    sent = {"currency": currency, "usd": None if usd == "none" else usd, "from": first}
    with opened_workspace(data_dir, workspace) as (database, caller):
        try:
            changes = contract.read_change(msgspec.json.encode({"rates": [sent]}))
            enqueue(database, caller, rates.change(database, caller, changes), now_us())
        except RefusedError as refused:
            raise fail(refused.message) from None
    out.print("queued: in force behind everything accepted before", highlight=False)


@app.command("book")
def book(workspace: InWorkspace = DEFAULT_WORKSPACE, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Count revenue that had no rate when it came, at today's rates. What has none today stays."""
    after: int | None = 0
    total = 0
    with opened_workspace(data_dir, workspace) as (database, caller):
        while after is not None:
            requests, queued, after = rates.bookings(database, caller, after)
            for checked in requests:
                enqueue(database, caller, checked, now_us(), STREAM_BULK)
            total += queued
    out.print(f"queued for {total} profiles", highlight=False)
