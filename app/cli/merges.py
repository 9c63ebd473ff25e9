"""`onefold merges`: what was merged, taking it back, and what may be merged at all."""

from typing import Annotated

import typer

from app.adapters.clock import now_us
from app.api.merges import answers
from app.cli.context import DEFAULT_DATA_DIR, DEFAULT_WORKSPACE, DataDir, InWorkspace, fail, opened_workspace
from app.cli.output import AsJson, out, show, show_list
from app.contract import merge_records as contract
from app.contract.cursor import Page
from app.domain import times
from app.domain.merging.match import MAX_GROUP
from app.domain.merging.plan import MergeRecord
from app.domain.profile import EXTERNAL
from app.services import merges, workspaces
from app.services.accepting.direct import enqueue
from app.services.caller import Caller
from app.services.refusals import NotUndoneError
from app.store.engine import Database

app = typer.Typer(help="Merges: the list, undoing, and guards against wrong ones.", no_args_is_help=True)

#: Whose requests these are in histories.
OPERATOR = "onefold merges"


@app.command("list")
def list_merges(
    external_id: Annotated[str, typer.Argument(help="External id of the profile that was kept.")],
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000)] = 50,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Merges into a profile and into those that were merged into it, newest first."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        records = _records(database, caller, external_id, limit)
    now = now_us()
    show_list(
        ("id", "merged at", "by key", "kept braze_id", "merged braze_id", ""),
        [(_cells(record, now), answers.record(caller, record, now)) for record in records],
        as_json=as_json,
    )


def _records(database: Database, caller: Caller, external_id: str, limit: int) -> list[MergeRecord]:
    records: list[MergeRecord] = []
    cursor: str | None = ""
    while cursor is not None and len(records) < limit:
        page = Page(limit - len(records), cursor=cursor)
        found = merges.listed(database, caller, (EXTERNAL, "", external_id), page)
        records, cursor = records + found.records, found.next_cursor
    return records


def _cells(record: MergeRecord, now: int) -> tuple[str, ...]:
    state = "undone" if record.undone else "undoable" if now < record.expires_us else ""
    at, by = times.iso(record.origin.us), record.origin.key_name or "-"
    return record.id, at, by, record.kept_braze_id, record.merged_braze_id, state


@app.command("undo")
def undo(
    merge_id: Annotated[str, typer.Argument(help="The id of the merge.")],
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    preview: Annotated[bool, typer.Option("--preview", help="Only show what that would do.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Queue the undoing of a merge, be it the last one or not. Prints the id of the request: `onefold requests show`
    tells what became of it."""
    if not contract.is_id(merge_id):
        raise fail("That is not the id of a merge: see `onefold merges list`.")
    with opened_workspace(data_dir, workspace, OPERATOR) as (database, caller):
        if preview:
            try:
                show(answers.undo_preview(merges.undo_preview(database, caller, merge_id, now_us())))
            except NotUndoneError as refused:
                raise fail(f"{contract.REFUSALS[refused.reason][1]}.") from None
            return
        request_id = enqueue(database, caller, contract.undo(merge_id), now_us())
    out.print(request_id, highlight=False)


@app.command("guard")
def guard(
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    junk_identifier: Annotated[
        list[str] | None,
        typer.Option("--junk-identifier", help="Never leads to a merge; given once or more, replaces the list."),
    ] = None,
    default_junk: Annotated[bool, typer.Option("--default-junk", help="Back to the list that Onefold has.")] = False,
    max_identifiers: Annotated[int | None, typer.Option(min=1, help="Identifiers of one profile.")] = None,
    max_merges: Annotated[int | None, typer.Option(min=0, help="Profiles merged into one.")] = None,
    placeholder_address: Annotated[
        list[str] | None,
        typer.Option(
            "--placeholder-address",
            help="By it merge rules join nobody: an address, a number, `name@` or `@domain`; replaces the list.",
        ),
    ] = None,
    default_placeholders: Annotated[
        bool, typer.Option("--default-placeholders", help="Back to the list that Onefold has.")
    ] = False,
    max_duplicates: Annotated[
        int | None, typer.Option(min=2, max=MAX_GROUP, help="Profiles that share an identifier and are merged by rule.")
    ] = None,
    undo_days: Annotated[int | None, typer.Option(min=0, max=3650, help="How long a merge can be undone.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Change what may be merged. Takes effect behind everything accepted before."""
    if junk_identifier and default_junk:
        raise fail("Give --junk-identifier or --default-junk.")
    if placeholder_address and default_placeholders:
        raise fail("Give --placeholder-address or --default-placeholders.")
    given = {
        "max_duplicates": max_duplicates,
        "placeholder_addresses": placeholder_address or None,
        "max_identifiers_per_profile": max_identifiers,
        "max_merges_per_profile": max_merges,
        "merge_undo_days": undo_days,
        "junk_identifiers": junk_identifier or None,
    }
    values: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    if default_junk:
        values["junk_identifiers"] = None
    if default_placeholders:
        values["placeholder_addresses"] = None
    if not values:
        raise fail("Nothing to change: see `onefold merges guard --help`.")
    with opened_workspace(data_dir, workspace) as (database, caller):
        workspaces.change_applied(database, caller, values, now_us())
    out.print(f"workspace {workspace} changed", highlight=False)
