"""`onefold attributes` and `onefold events`: names that were written, and what is decided about them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from app.adapters.clock import now_us
from app.cli.context import DEFAULT_DATA_DIR, DEFAULT_WORKSPACE, DataDir, InWorkspace, fail, opened_workspace
from app.cli.output import AsJson, out, show_list
from app.contract import data_rules as contract
from app.contract.data_rules import ATTRIBUTES, EVENTS, PRODUCTS, Family, Page
from app.contract.errors import RefusedError
from app.domain.data_rules import TYPES
from app.services import data_rules
from app.services.accepting.direct import enqueue

attributes = typer.Typer(
    help="Custom attributes: types and counts, forced types, what is blocked.", no_args_is_help=True
)
events = typer.Typer(help="Custom events, and products: counts, what is blocked.", no_args_is_help=True)

After = Annotated[str, typer.Option("--after", help="Begin behind this name.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=contract.MAX_PAGE, help="Names to show.")]
Blocked = Annotated[bool | None, typer.Option("--block/--allow", help="Whether writes of it have no effect.")]
OfProducts = Annotated[bool, typer.Option("--products", help="Products instead of events.")]


@attributes.command("list")
def list_attributes(
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    after: After = "",
    limit: Limit = 500,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Names, how often each got another value of which type, and rules."""
    _list(ATTRIBUTES, workspace, Page(after, limit), data_dir, as_json=as_json)


@attributes.command("set")
def set_attribute(
    name: str,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    type_: Annotated[str | None, typer.Option("--type", help=f"Force one of {', '.join(TYPES)}; or none.")] = None,
    array_max: Annotated[
        int | None, typer.Option("--array-max", min=0, max=contract.MAX_ARRAY, help="Elements of arrays; 0: default.")
    ] = None,
    blocked: Blocked = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Decide about an attribute: in force for everything that is accepted from now on."""
    rule: dict[str, Any] = {}
    if type_ is not None:
        rule["type"] = None if type_ == "none" else type_
    if array_max is not None:
        rule["array_max"] = array_max or None
    if blocked is not None:
        rule["blocked"] = blocked
    _set(ATTRIBUTES, workspace, name, rule, data_dir)


@events.command("list")
def list_events(
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    after: After = "",
    limit: Limit = 500,
    products: OfProducts = False,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Names, how often each occurred and was refused for its schema, and whether it is blocked."""
    _list(PRODUCTS if products else EVENTS, workspace, Page(after, limit), data_dir, as_json=as_json)


@events.command("set")
def set_event(
    name: str,
    blocked: Annotated[bool, typer.Option("--block/--allow", help="Whether it is accepted and dropped.")],
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    products: OfProducts = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Decide about an event or a product: in force for everything that is accepted from now on."""
    _set(PRODUCTS if products else EVENTS, workspace, name, {"blocked": blocked}, data_dir)


def _list(family: Family, workspace: str, page: Page, data_dir: Path, *, as_json: bool) -> None:
    with opened_workspace(data_dir, workspace) as (database, caller):
        names = data_rules.listed(database, caller, family, page)
    entries: Any = contract.listing(family, names.counts, names.settings, page)[family.title]
    if family is ATTRIBUTES:
        show_list(("name", "types", "forced", "array max", ""), [(_attribute(x), x) for x in entries], as_json=as_json)
    else:
        rows = [
            ((x["name"], str(x["count"]), _refused(x.get("refused", {})), "blocked" if x["blocked"] else ""), x)
            for x in entries
        ]
        show_list(("name", "count", "refused", ""), rows, as_json=as_json)


def _refused(counts: dict[str, int]) -> str:
    return ", ".join(f"{fault} {count}" for fault, count in counts.items())


def _attribute(entry: dict[str, Any]) -> tuple[str, ...]:
    types = ", ".join(f"{type_} {count}" for type_, count in entry["types"].items())
    array_max = "" if entry["array_max"] is None else str(entry["array_max"])
    return entry["name"], types, entry["type"] or "", array_max, "blocked" if entry["blocked"] else ""


def _set(family: Family, workspace: str, name: str, rule: dict[str, Any], data_dir: Path) -> None:
    known = contract.known_name(family, name)
    if known is None:
        raise fail("Nothing can have this name.")
    if not rule:
        raise fail("Say what to decide: see --help.")
    with opened_workspace(data_dir, workspace) as (database, caller):
        try:
            change = data_rules.change(database, caller, family, known, contract.checked(rule))
        except RefusedError as refused:
            raise fail(refused.message) from None
        enqueue(database, caller, change, now_us())
    out.print("queued: in force behind everything accepted before", highlight=False)
