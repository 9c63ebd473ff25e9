"""`onefold profiles`: people, for operators."""

from pathlib import Path
from typing import Annotated

import typer

from app.adapters.files import Files
from app.bootstrap import now_us
from app.cli.context import DEFAULT_DATA_DIR, DEFAULT_WORKSPACE, DataDir, InWorkspace, fail, opened_workspace
from app.cli.output import out
from app.services import archives
from app.services.refusals import UnknownProfileError
from workers.jobs.archive import write

app = typer.Typer(help="Profiles: the archive of a person.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keeps `archive` a command of its own."""


@app.command("archive")
def archive(
    braze_id: Annotated[str, typer.Argument(help="The id that Onefold gave the profile.")],
    file: Annotated[Path | None, typer.Option("--out", help="The zip to write; BRAZE_ID.zip unless told.")] = None,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Write a zip of all that is held about a person. It holds their data: only you may read it."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        try:
            pid = archives.pid_of(database, caller, braze_id)
        except UnknownProfileError:
            raise fail("This workspace has no profile of that braze_id.") from None
        path = (file or Path(f"{braze_id}.zip")).absolute()
        try:
            with Files(path.parent).writing(path) as target:
                size = write(database, caller.workspace_id, caller.workspace_secret, pid, now_us(), target)
                if size is None:
                    raise fail("This workspace has no profile of that braze_id.")
        except OSError as error:
            raise fail(f"{path} cannot be written ({type(error).__name__}).") from None
    out.print(f"{path}: {size} bytes", highlight=False, soft_wrap=True)
