"""`onefold company`: limits that several workspaces share."""

from typing import Annotated, Any

import typer
from rich.table import Table

from app.bootstrap import now_us
from app.cli.context import DEFAULT_DATA_DIR, DataDir, fail, opened, out, settings_for
from app.contract.plans import MAX_LIMIT, MAX_WINDOW_SECONDS, REFILLS
from app.store import companies
from app.store.workspaces import NameTakenError, UnknownNameError

app = typer.Typer(
    help="Companies: limits of /users/track that workspaces share, besides their own.", no_args_is_help=True
)

Hourly = Annotated[int | None, typer.Option("--hourly", min=1, max=MAX_LIMIT, help="Requests per hour.")]
Burst = Annotated[int | None, typer.Option("--burst", min=1, max=MAX_LIMIT, help="Requests per burst window.")]
Window = Annotated[
    int | None, typer.Option("--burst-window", min=1, max=MAX_WINDOW_SECONDS, help="Burst window in seconds.")
]
Refill = Annotated[str | None, typer.Option("--hourly-refill", help=f"One of {', '.join(REFILLS)}.")]


@app.command("create")
def create(
    name: str,
    hourly: Hourly = None,
    burst: Burst = None,
    burst_window: Window = None,
    hourly_refill: Refill = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Make a company. `onefold workspace set NAME --company NAME` puts a workspace under it."""
    values = _values(hourly, burst, burst_window, hourly_refill)
    with opened(settings_for(data_dir)) as database:
        try:
            companies.create(database, name, now_us(), **values)
        except NameTakenError:
            raise fail("A company of this name exists.") from None
    out.print(f"company {name} created", highlight=False)


@app.command("set")
def set_company(
    name: str,
    hourly: Hourly = None,
    burst: Burst = None,
    burst_window: Window = None,
    hourly_refill: Refill = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Change the limits of a company. Running processes follow within seconds."""
    values = _values(hourly, burst, burst_window, hourly_refill)
    with opened(settings_for(data_dir)) as database:
        try:
            companies.update(database, name, values)
        except UnknownNameError:
            raise fail("No company has this name: see `onefold company list`.") from None
    out.print(f"company {name} changed", highlight=False)


@app.command("list")
def list_companies(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """All companies with their limits."""
    table = Table("name", "hourly", "refill", "burst", "window (s)")
    with opened(settings_for(data_dir)) as database:
        for one in companies.listed(database):
            hourly, burst = str(one.hourly_limit or "-"), str(one.burst_limit or "-")
            table.add_row(one.name, hourly, one.hourly_refill, burst, str(one.burst_window_seconds))
    out.print(table)


def _values(hourly: int | None, burst: int | None, window: int | None, refill: str | None) -> dict[str, Any]:
    if refill is not None and refill not in REFILLS:
        raise fail(f"--hourly-refill is one of {', '.join(REFILLS)}.")
    given = {"hourly_limit": hourly, "burst_limit": burst, "burst_window_seconds": window, "hourly_refill": refill}
    return {name: value for name, value in given.items() if value is not None}
