"""`onefold segments`: make, count and look at segments of a workspace."""

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from app.adapters.clock import now_us
from app.api.segments import answers
from app.bootstrap import serving
from app.cli.context import (
    DEFAULT_DATA_DIR,
    DEFAULT_WORKSPACE,
    DataDir,
    InWorkspace,
    fail,
    opened_workspace,
    settings_for,
)
from app.cli.output import AsJson, out, show_list
from app.contract import segment_requests as contract
from app.contract.errors import RefusedError
from app.contract.jobs import TOO_MANY_JOBS
from app.contract.segment_requests import Listing
from app.domain.jobs import DELETE_SEGMENT
from app.services import previews, segments
from app.services.caller import Caller
from app.services.calls import direct_calls
from app.services.refusals import JobUnderWayError, TooManyJobsError, UnknownSegmentError
from app.settings import Settings
from app.store.engine import Database
from app.store.segments import upkeep
from app.store.segments.compile import TooBroadError

app = typer.Typer(help="Segments: people by filters.", no_args_is_help=True)

_File = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, help="JSON with name, groups, join, exclude, apps.")
]
#: An operator may wait longer than a client.
COUNT_SECONDS = 3600.0

_Id = Annotated[str, typer.Argument(help="Id of the segment.")]


@app.command("list")
def list_segments(
    workspace: InWorkspace = DEFAULT_WORKSPACE, as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR
) -> None:
    """Segments of a workspace, oldest first."""
    found = []
    with opened_workspace(data_dir, workspace) as (database, caller):
        page = 0
        while more := segments.listed(database, caller, Listing(page, newest=False)):
            found += more
            page += 1
    rows = [((one.id, one.name, contract.in_words(one.definition)), answers.shown(one)) for one in found]
    show_list(("id", "name", "who"), rows, as_json=as_json)


@app.command("add")
def add_segment(file: _File, workspace: InWorkspace = DEFAULT_WORKSPACE, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Make a segment from a file. Prints its id."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        try:
            document = contract.read_body(file.read_bytes())
            most = settings_for(data_dir).max_segments
            out.print(segments.add(database, caller, document, now_us(), most).id, highlight=False)
        except RefusedError as refused:
            raise fail(refused.message) from None


@app.command("count")
def count_segment(
    segment_id: _Id, workspace: InWorkspace = DEFAULT_WORKSPACE, data_dir: DataDir = DEFAULT_DATA_DIR
) -> None:
    """How many people are in a segment now."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        try:
            definition = segments.one(database, caller, segment_id).definition
        except UnknownSegmentError:
            raise fail(contract.UNKNOWN) from None
        try:
            size, _ = previews.preview(database, caller, definition, now_us(), 0, COUNT_SECONDS)
        except TooBroadError:
            raise fail(contract.TOO_BROAD) from None
        out.print(str(size), highlight=False)


@app.command("remove")
def remove_segment(
    segment_id: _Id, workspace: InWorkspace = DEFAULT_WORKSPACE, data_dir: DataDir = DEFAULT_DATA_DIR
) -> None:
    """Forget a segment and its sizes. Nobody's profile is touched."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        try:
            segments.remove(database, caller, segment_id)
        except UnknownSegmentError:
            raise fail(contract.UNKNOWN) from None
        except RefusedError as refused:
            raise fail(refused.message) from None
    out.print("removed", highlight=False)


@app.command("delete-people")
def delete_people(
    identifier: _Id,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Delete everybody in a segment, some days later (ONEFOLD_SEGMENT_DELETION_DAYS). Prints the id of the job, which
    `onefold jobs cancel` ends until then."""
    settings = settings_for(data_dir)
    with opened_workspace(data_dir, workspace, "onefold segments") as (database, caller):
        try:
            segment = segments.one(database, caller, identifier)
        except UnknownSegmentError:
            raise fail("This workspace has no segment of that id.") from None
        if not yes and not typer.confirm(f"Delete everybody in the segment {segment.name}?"):
            raise fail("Nothing was deleted.")
        out.print(asyncio.run(_begin(settings, database, caller, identifier)), highlight=False)


async def _begin(settings: Settings, database: Database, caller: Caller, segment_id: str) -> str:
    async with direct_calls() as calls:
        jobs = serving.jobs(settings, database, calls, lambda: None)
        try:
            return (await jobs.start(caller, DELETE_SEGMENT, segment_id, {})).id
        except JobUnderWayError:
            raise fail("A deletion of this segment is already under way: see `onefold jobs list`.") from None
        except TooManyJobsError:
            raise fail(TOO_MANY_JOBS + ".") from None


@app.command("rebuild")
def rebuild_values(workspace: InWorkspace = DEFAULT_WORKSPACE, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Make anew what PostgreSQL counts segments from, where `onefold verify` found it different from the profiles."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        out.print(f"{upkeep.rebuild(database, caller.workspace_id, now_us())} profiles", highlight=False)


@app.command("schema")
def schema() -> None:
    """Fields and operators of filters, as JSON."""
    out.print_json(msgspec.json.encode(contract.schema()).decode())
