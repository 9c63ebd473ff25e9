"""`onefold jobs`: work that takes longer than an answer may, and the process that does it."""

import os
from typing import Annotated

import typer

from app.adapters.clock import now_us
from app.api.jobs import answers
from app.cli import children, production
from app.cli.context import (
    DEFAULT_DATA_DIR,
    DEFAULT_WORKSPACE,
    DataDir,
    InWorkspace,
    environment,
    fail,
    opened,
    opened_workspace,
    settings_for,
)
from app.cli.output import AsJson, out, show, show_list
from app.contract.errors import RefusedError
from app.contract.jobs import read_page
from app.services import jobs, previews
from app.services.refusals import UnknownJobError

app = typer.Typer(help="Jobs: exports to files, archives, long counts.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The job's id.")]


@app.command("run")
def run(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Run a job worker, which does one job at a time. `onefold up` starts one."""
    settings = settings_for(data_dir)
    production.see(settings)
    with opened(settings, worker=True):
        pass
    argv = children.jobs_argv()
    os.execve(argv[0], argv, environment(settings))  # noqa: S606 - our own command


@app.command("list")
def list_jobs(
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    state: Annotated[str | None, typer.Option("--state", help="queued, running, done, failed or cancelled.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="What it does.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500)] = 50,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Jobs of the last seven days, newest first."""
    given = {"state": state, "kind": kind, "limit": str(limit)}
    try:
        page = read_page({name: value for name, value in given.items() if value is not None})
    except RefusedError as refused:
        raise fail(refused.message) from None
    with opened_workspace(data_dir, workspace) as (database, caller):
        found = jobs.listed(database, caller, page).jobs
        documents = [answers.job_of(caller, job, now_us()) for job in found]
    show_list(
        ("job", "kind", "target", "state", "created", "users", "error"),
        [
            (
                (
                    job.id,
                    job.kind,
                    str(document.get("target", "")),
                    job.state,
                    str(document["created_at"]),
                    str(document.get("users", job.progress)),
                    job.error,
                ),
                document,
            )
            for job, document in zip(found, documents, strict=True)
        ],
        as_json=as_json,
    )


@app.command("show")
def show_job(identifier: Id, workspace: InWorkspace = DEFAULT_WORKSPACE, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Print a job: how far it is, and where its file is, or what it counted."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        try:
            job = jobs.get(database, caller, identifier)
            document = answers.job_of(caller, job, now_us())
            if people := previews.sample_of(database, caller, job):
                document["sample"] = answers.sample(people)
            show(document)
        except UnknownJobError:
            raise fail("This workspace has no job of that id.") from None


@app.command("cancel")
def cancel_job(
    identifier: Id, workspace: InWorkspace = DEFAULT_WORKSPACE, data_dir: DataDir = DEFAULT_DATA_DIR
) -> None:
    """End a job that is queued or running, or have the file of a finished one removed."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        try:
            job = jobs.cancel(database, caller, identifier, now_us())
        except UnknownJobError:
            raise fail("This workspace has no job of that id.") from None
    out.print(job.state, highlight=False)
