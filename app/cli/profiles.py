"""`onefold profiles`: who there is, and everything about one of them."""

from pathlib import Path
from typing import Annotated

import typer

from app.adapters.clock import now_us
from app.adapters.files import Files
from app.api.people import answers
from app.cli.context import DEFAULT_DATA_DIR, DEFAULT_WORKSPACE, DataDir, InWorkspace, fail, opened_workspace
from app.cli.output import AsJson, out, show, show_list
from app.contract import addresses
from app.contract import people as contract
from app.contract.cursor import Page
from app.contract.errors import RefusedError
from app.contract.people import MAX_LIMIT
from app.domain.profile import Profile
from app.services import archives, people
from app.services.caller import Caller
from app.services.refusals import UnknownProfileError, UnknownSegmentError
from app.store.engine import Database
from app.store.segments.compile import TooBroadError
from workers.jobs.archive import write

app = typer.Typer(help="People: who there is, and everything about one of them.", no_args_is_help=True)


@app.command("search")
def search(
    text: Annotated[
        str,
        typer.Argument(help="External id, braze_id, alias, e-mail address, phone number or name; none = everybody."),
    ] = "",
    flag: Annotated[str | None, typer.Option("--flag", help=f"One of {', '.join(contract.FLAGS)}.")] = None,
    segment: Annotated[str | None, typer.Option("--segment", help="Id of a segment.")] = None,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 50,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Find people: by an identifier, by the beginning of an e-mail address or an alias, by a part of a name."""
    sent = {
        name: value
        for name, value in (("search", text or None), ("flag", flag), ("segment", segment))
        if value is not None
    }
    profiles: list[Profile] = []
    cursor: str | None = ""
    with opened_workspace(data_dir, workspace) as (database, caller):
        while cursor is not None and len(profiles) < limit:
            page = {"limit": str(min(MAX_LIMIT, limit - len(profiles))), "cursor": cursor}
            try:
                query = contract.read_query(sent | page, addresses.region_of(caller.options))
            except RefusedError as refused:
                raise fail(refused.message) from None
            try:
                found = (
                    people.members(database, caller, query, now_us())
                    if segment
                    else people.find(database, caller, query)
                )
            except UnknownSegmentError:
                raise fail("There is no such segment: see `onefold segments list`.") from None
            except TooBroadError:
                raise fail("The segment is too broad to be looked through.") from None
            profiles, cursor = profiles + found.profiles, found.next_cursor
    show_list(
        ("braze_id", "external_id", "email", "name", "flags"),
        [(_cells(profile), contract.row(profile)) for profile in profiles],
        as_json=as_json,
    )


def _cells(profile: Profile) -> tuple[str, ...]:
    core = profile.core or {}
    name = " ".join(str(core[key]) for key in ("first_name", "last_name") if key in core)
    flags = ", ".join(name for name, has in contract.flags(profile).items() if has)
    return profile.braze_id, profile.external_id or "-", _email(profile) or "-", name or "-", flags


@app.command("show")
def show_profile(
    who: Annotated[str, typer.Argument(help="braze_id, or what `onefold profiles search` finds one person by.")],
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    events: Annotated[int, typer.Option("--events", min=1, max=MAX_LIMIT, help="Entries of the timeline.")] = 50,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Everything about one person, with the last events and purchases, as JSON."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        try:
            found = people.show(database, caller, _braze_id(database, caller, who), Page(events), now_us())
        except UnknownProfileError:
            raise fail("Nobody is found by this: see `onefold profiles search`.") from None
        show(answers.person(caller, found))


def _braze_id(database: Database, caller: Caller, who: str) -> str:
    """Of the one person that is found by a text; the text itself where nobody is."""
    try:
        query = contract.read_query({"search": who, "limit": "2"}, addresses.region_of(caller.options))
    except RefusedError as refused:
        raise fail(refused.message) from None
    found = people.find(database, caller, query).profiles
    if len(found) > 1 and who not in (found[0].external_id, found[0].braze_id):
        raise fail("Several people are found by this: see `onefold profiles search`.")
    return found[0].braze_id if found else who


def _email(profile: Profile) -> str:
    return str((profile.core or {}).get("email", ""))


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
