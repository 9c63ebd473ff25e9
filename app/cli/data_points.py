"""`onefold data-points`: what writes of attributes would cost where data points are counted."""

from typing import Annotated

import typer

from app.adapters.clock import now_us
from app.cli.context import DEFAULT_DATA_DIR, DEFAULT_WORKSPACE, DataDir, InWorkspace, opened_workspace
from app.cli.output import AsJson, show_list
from app.contract import series as contract
from app.contract.series import MAX_DATA_POINTS, Question
from app.domain.series import DATA_POINTS
from app.services import series

app = typer.Typer(
    help="Data points by day, and how many of them clients that send deltas would save.", no_args_is_help=True
)


@app.command("list")
def list_data_points(
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    days: Annotated[int, typer.Option("--days", min=1, max=MAX_DATA_POINTS, help="Days to show, up to today.")] = 30,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Each day of the workspace's time zone, the oldest first."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        points = series.read(database, caller, Question(DATA_POINTS, days), now_us())
    rows = []
    for at, count, saved in points:
        entry = {"time": contract.time_of(contract.DAY, at), "data_points": count, "saved_by_deltas": saved}
        rows.append(((str(entry["time"]), str(count), str(saved)), entry))
    show_list(("day", "data points", "saved by deltas"), rows, as_json=as_json)
