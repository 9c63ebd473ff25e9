"""`onefold duplicates`: merge rules, what they would do, their runs, and their schedule."""

import sys
from typing import Annotated

import typer

from app.adapters.clock import now_us
from app.api.merge_runs import answers
from app.cli.context import (
    DEFAULT_DATA_DIR,
    DEFAULT_WORKSPACE,
    DataDir,
    InWorkspace,
    fail,
    opened_workspace,
    settings_for,
)
from app.cli.output import AsJson, out, show, show_list
from app.contract import merge_rules as contract
from app.contract.cursor import Page
from app.contract.errors import RefusedError
from app.contract.merge_rules import IDENTIFIERS, PreviewRequest
from app.domain.merging.match import NEWEST, PRIORITIZATIONS, TIES, UPDATED_AT, Group, MergeRule
from app.services import merge_runs
from app.services.refusals import JobUnderWayError, TooManyJobsError, UnknownRunError

app = typer.Typer(help="Duplicates: merge rules, previews, runs and their schedule.", no_args_is_help=True)

#: Whose runs these are.
OPERATOR = "onefold duplicates"

_By = Annotated[str | None, typer.Option("--by", help="email or phone: the rule for this identifier.")]
_Id = Annotated[str, typer.Argument(help="The run's id.")]


@app.command("rules")
def rules(
    rule: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="IDENTIFIER[:TIES[:PRIORITIZATION]], such as email:updated_at:newest; replaces the rules.",
        ),
    ] = None,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Print the merge rules in the order in which they are run, or set them first."""
    wanted = tuple(map(_rule, rule or ()))
    if len({one.kind for one in wanted}) < len(wanted):
        raise fail("There is one rule for each identifier.")
    with opened_workspace(data_dir, workspace) as (database, caller):
        found = merge_runs.set_rules(database, caller, wanted) if wanted else merge_runs.setup(database, caller)
    show(answers.rules(found))


@app.command("preview")
def preview(
    by: _By = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Groups; all by default.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="A line for each profile, for a spreadsheet.")] = False,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Groups of duplicates, and what the rule would do with them. Nothing changes."""
    kind, left = _kind(by), limit
    groups: list[Group] = []
    if as_csv:
        sys.stdout.buffer.write(contract.csv_header())
    with opened_workspace(data_dir, workspace) as (database, caller):
        cursor: str | None = ""
        while cursor is not None and left != 0:
            page = Page(min(left or contract.MAX_GROUPS, contract.MAX_GROUPS), cursor)
            try:
                found = merge_runs.preview(database, caller, PreviewRequest(kind, page))
            except RefusedError as refused:
                raise fail(refused.message) from None
            cursor, left = found.next_cursor, None if left is None else left - len(found.groups)
            if as_csv:
                sys.stdout.buffer.write(contract.csv_rows(found.groups))
            else:
                groups += found.groups
    if as_csv:
        sys.stdout.buffer.flush()
    else:
        show_list(
            ("identifier", "profiles", "keep", "merge", "why not"),
            [(_cells(group), contract.shown_group(group)) for group in groups],
            as_json=as_json,
        )


def _cells(group: Group) -> tuple[str, ...]:
    keep = "-" if group.keep is None else group.keep.external_id or group.keep.braze_id
    return group.shared[2], str(group.size), keep, str(len(group.merge)), group.reason


@app.command("merge")
def merge(by: _By = None, workspace: InWorkspace = DEFAULT_WORKSPACE, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Run the merge rules, or one of them, as a job. Prints the run's id."""
    kind, most = _kind(by), settings_for(data_dir).max_jobs
    with opened_workspace(data_dir, workspace, OPERATOR) as (database, caller):
        try:
            run = merge_runs.start(database, caller, kind, now_us(), most)
        except RefusedError as refused:
            raise fail(refused.message) from None
        except JobUnderWayError:
            raise fail(contract.RUN_UNDER_WAY) from None
        except TooManyJobsError:
            raise fail("The workspace has as many unfinished jobs as it may have.") from None
    out.print(run.run.id, highlight=False)


@app.command("runs")
def runs(
    limit: Annotated[int, typer.Option("--limit", min=1, max=contract.MAX_RUNS)] = contract.DEFAULT_RUNS,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Runs of merge rules, newest first."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        found = merge_runs.listed(database, caller, Page(limit)).runs
    rows = []
    for run in found:
        document, report = answers.shown(run), run.report
        counts = (str(report.merged), str(sum(report.skipped.values())), str(sum(report.alone.values())))
        rows.append(((run.run.id, str(document["created_at"]), run.job.created_by, run.job.state, *counts), document))
    show_list(("run", "created", "by", "state", "merged", "skipped", "groups left alone"), rows, as_json=as_json)


@app.command("show")
def show_run(run_id: _Id, workspace: InWorkspace = DEFAULT_WORKSPACE, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Print a run: how far it is, and what came of it."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        try:
            show(answers.shown(merge_runs.one(database, caller, run_id)))
        except UnknownRunError:
            raise fail(contract.UNKNOWN_RUN) from None


@app.command("undo")
def undo(run_id: _Id, workspace: InWorkspace = DEFAULT_WORKSPACE, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Take a run back as a job, the last merge first. `onefold duplicates show` tells what came of it."""
    most = settings_for(data_dir).max_jobs
    with opened_workspace(data_dir, workspace, OPERATOR) as (database, caller):
        try:
            merge_runs.undo(database, caller, run_id, now_us(), most)
        except UnknownRunError:
            raise fail(contract.UNKNOWN_RUN) from None
        except JobUnderWayError as error:
            raise fail(contract.RUN_UNDER_WAY if error.kind == "merge_run" else contract.UNDO_UNDER_WAY) from None
        except TooManyJobsError:
            raise fail("The workspace has as many unfinished jobs as it may have.") from None
    out.print("queued", highlight=False)


@app.command("schedule")
def schedule(
    enabled: Annotated[bool | None, typer.Option("--on/--off", help="Run the rules once a day, or do not.")] = None,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Whether the rules are run daily, at the beginning of the workspace's day. Says so, or changes it first."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        if enabled is None:
            found = merge_runs.setup(database, caller)
        else:
            found = merge_runs.set_schedule(database, caller, now_us(), enabled=enabled)
        show(answers.schedule(found, merge_runs.next_day(database, caller, found, now_us())))


def _rule(text: str) -> MergeRule:
    name, _, rest = text.partition(":")
    ties, _, prioritization = rest.partition(":")
    kind = _kind(name)
    if kind is None or (ties or UPDATED_AT) not in TIES or (prioritization or NEWEST) not in PRIORITIZATIONS:
        raise fail(
            f"A rule is IDENTIFIER:TIES:PRIORITIZATION: {' or '.join(IDENTIFIERS)}, {' or '.join(TIES)},"
            f" {' or '.join(PRIORITIZATIONS)}."
        )
    return MergeRule(kind, ties or UPDATED_AT, prioritization or NEWEST)


def _kind(name: str | None) -> int | None:
    if name is not None and name not in IDENTIFIERS:
        raise fail(f"An identifier is {' or '.join(IDENTIFIERS)}.")
    return None if name is None else IDENTIFIERS[name]
