"""`onefold attributes` and `onefold events`: names that were written, and what is decided about them."""

from typing import Annotated, Any

import typer
from rich.table import Table

from app.cli.context import DEFAULT_DATA_DIR, DataDir, fail, opened, out, settings_for
from app.cli.keys import workspace_id
from app.cli.workspaces import change_settings
from app.contract import data_rules
from app.contract.data_rules import ATTRIBUTES, EVENTS, PRODUCTS, Family, Page
from app.contract.errors import RefusedError
from app.domain.data_rules import TYPES
from app.domain.settings import ApplySettings
from app.store import lane, names
from app.store.engine import Database

attributes = typer.Typer(
    help="Custom attributes: types and counts, forced types, what is blocked.", no_args_is_help=True
)
events = typer.Typer(help="Custom events, and products: counts, what is blocked.", no_args_is_help=True)

Workspace = Annotated[str, typer.Option("--workspace", help="Name of the workspace.")]
After = Annotated[str, typer.Option("--after", help="Begin behind this name.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=data_rules.MAX_PAGE, help="Names to show.")]
Blocked = Annotated[bool | None, typer.Option("--block/--allow", help="Whether writes of it have no effect.")]
OfProducts = Annotated[bool, typer.Option("--products", help="Products instead of events.")]


@attributes.command("list")
def list_attributes(
    workspace: Workspace = "default", after: After = "", limit: Limit = 500, data_dir: DataDir = DEFAULT_DATA_DIR
) -> None:
    """Names, how often each got another value of which type, and rules."""
    _list(ATTRIBUTES, workspace, after, limit, data_dir)


@attributes.command("set")
def set_attribute(
    name: str,
    workspace: Workspace = "default",
    type_: Annotated[str | None, typer.Option("--type", help=f"Force one of {', '.join(TYPES)}; or none.")] = None,
    array_max: Annotated[
        int | None, typer.Option("--array-max", min=0, max=data_rules.MAX_ARRAY, help="Elements of arrays; 0: default.")
    ] = None,
    blocked: Blocked = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Decide about an attribute: in force for everything that is accepted from now on."""
    rule = {
        "type": None if type_ == "none" else type_,
        "array_max": array_max or None,
        "blocked": blocked,
    }
    given = {"type": type_, "array_max": array_max, "blocked": blocked}
    _set(ATTRIBUTES, workspace, name, {key: rule[key] for key in rule if given[key] is not None}, data_dir)


@events.command("list")
def list_events(
    workspace: Workspace = "default",
    after: After = "",
    limit: Limit = 500,
    products: OfProducts = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Names, how often each occurred, and whether it is blocked."""
    _list(PRODUCTS if products else EVENTS, workspace, after, limit, data_dir)


@events.command("set")
def set_event(
    name: str,
    blocked: Annotated[bool, typer.Option("--block/--allow", help="Whether it is dropped.")],
    workspace: Workspace = "default",
    products: OfProducts = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Decide about an event or a product: in force for everything that is accepted from now on."""
    _set(PRODUCTS if products else EVENTS, workspace, name, {"blocked": blocked}, data_dir)


def _settings(database: Database, number: int) -> ApplySettings:
    with database.read() as connection:
        found = lane.read(connection, number)
    return found.settings if found is not None else ApplySettings()


def _list(family: Family, workspace: str, after: str, limit: int, data_dir: Any) -> None:
    with opened(settings_for(data_dir)) as database:
        number = workspace_id(database, workspace)
        with database.read() as connection:
            found = names.page(connection, number, family.kind, after, limit)
        document: Any = data_rules.listing(family, found, _settings(database, number), Page(after, limit))
    if family is ATTRIBUTES:
        table = Table("name", "types", "forced", "array max", "")
        for entry in document[family.title]:
            types = ", ".join(f"{type_} {count}" for type_, count in entry["types"].items())
            maximum = "" if entry["array_max"] is None else str(entry["array_max"])
            table.add_row(entry["name"], types, entry["type"] or "", maximum, "blocked" if entry["blocked"] else "")
    else:
        table = Table("name", "count", "")
        for entry in document[family.title]:
            table.add_row(entry["name"], str(entry["count"]), "blocked" if entry["blocked"] else "")
    out.print(table)


def _set(family: Family, workspace: str, name: str, rule: dict[str, Any], data_dir: Any) -> None:
    known = data_rules.known_name(family, name)
    if known is None:
        raise fail("Nothing can have this name.")
    if not rule:
        raise fail("Say what to decide: see --help.")
    with opened(settings_for(data_dir)) as database:
        number = workspace_id(database, workspace)
        try:
            change = data_rules.change(family, known, data_rules.checked(rule), _settings(database, number))
        except RefusedError as refused:
            raise fail(refused.message) from None
        change_settings(database, number, change)
    out.print("queued: in force behind everything accepted before", highlight=False)
