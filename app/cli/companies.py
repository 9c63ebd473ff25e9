"""`onefold companies`: limits that several workspaces share."""

from typing import Any, Final

import typer

from app.adapters.clock import now_us
from app.cli.context import DEFAULT_DATA_DIR, DataDir, fail, opened, settings_for
from app.cli.options import LIMITS, given, having
from app.cli.output import AsJson, out, show_list
from app.services import companies
from app.services.companies import NameTakenError, UnknownNameError
from app.services.naming import InvalidNameError
from app.services.workspaces import InvalidSettingError

app = typer.Typer(
    help="Companies: limits of /users/track that workspaces share, besides their own.", no_args_is_help=True
)

#: Option -> column.
_COLUMNS: Final = {
    "hourly": "hourly_limit",
    "burst": "burst_limit",
    "burst_window": "burst_window_seconds",
    "hourly_refill": "hourly_refill",
}


@app.command("create")
@having(LIMITS)
def create(name: str, data_dir: DataDir = DEFAULT_DATA_DIR, **options: Any) -> None:
    """Make a company. `onefold workspaces set NAME --company NAME` puts a workspace under it."""
    values = _values(options)
    with opened(settings_for(data_dir)) as database:
        try:
            companies.create(database, name, values, now_us())
        except NameTakenError:
            raise fail("A company of this name exists.") from None
        except (InvalidNameError, InvalidSettingError) as error:
            raise fail(str(error)) from None
    out.print(f"company {name} created", highlight=False)


@app.command("set")
@having(LIMITS)
def set_company(name: str, data_dir: DataDir = DEFAULT_DATA_DIR, **options: Any) -> None:
    """Change the limits of a company. Running processes follow within seconds."""
    values = _values(options)
    with opened(settings_for(data_dir)) as database:
        try:
            companies.change(database, name, values)
        except UnknownNameError:
            raise fail("No company has this name: see `onefold companies list`.") from None
        except InvalidSettingError as error:
            raise fail(str(error)) from None
    out.print(f"company {name} changed", highlight=False)


@app.command("list")
def list_companies(as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """All companies with their limits."""
    with opened(settings_for(data_dir)) as database:
        found = companies.listed(database)
    rows = []
    for one in found:
        values = {column: getattr(one, column) for column in _COLUMNS.values()}
        hourly, burst = str(one.hourly_limit or "-"), str(one.burst_limit or "-")
        cells = (one.name, hourly, one.hourly_refill, burst, str(one.burst_window_seconds))
        rows.append((cells, {"name": one.name, **values}))
    show_list(("name", "hourly", "refill", "burst", "window (s)"), rows, as_json=as_json)


def _values(options: dict[str, Any]) -> dict[str, Any]:
    return {_COLUMNS[name]: value for name, value in given(options).items()}
