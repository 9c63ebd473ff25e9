"""`onefold workspace`: tenants and their limits."""

from typing import Annotated, Any

import typer
from rich.table import Table

from app.bootstrap import now_us
from app.cli.context import DEFAULT_DATA_DIR, DataDir, fail, opened, out, settings_for
from app.contract import addresses
from app.contract.data_rules import MAX_ARRAY
from app.contract.export import REQUIRES_FIELDS
from app.contract.plans import DEFAULT_PLAN, MAX_LIMIT, PLANS
from app.contract.stored import settings_change
from app.store import companies, workspaces
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry

app = typer.Typer(help="Workspaces: tenants with profiles, keys and limits of their own.", no_args_is_help=True)

Plan = Annotated[str | None, typer.Option("--plan", help=f"One of {', '.join(PLANS)}.")]
Hourly = Annotated[int | None, typer.Option("--hourly", min=1, max=MAX_LIMIT, help="/users/track requests per hour.")]
Burst = Annotated[
    int | None, typer.Option("--burst", min=1, max=MAX_LIMIT, help="/users/track requests per burst window.")
]
Window = Annotated[int | None, typer.Option("--burst-window", min=1, max=3600, help="Burst window in seconds.")]
Autocreate = Annotated[
    bool | None,
    typer.Option(
        "--alias-autocreate-on-purchase/--no-alias-autocreate-on-purchase",
        help="Whether a purchase for an unknown alias makes a profile without being told to.",
    ),
]
NullDeletes = Annotated[
    bool | None,
    typer.Option(
        "--nested-null-deletes/--no-nested-null-deletes",
        help="Whether null inside an object takes a key out when objects are merged, or drops the update.",
    ),
]
ArrayMax = Annotated[
    int | None,
    typer.Option("--array-max-default", min=1, max=MAX_ARRAY, help="Elements of an array, unless set by name."),
]
Resubscribe = Annotated[
    bool | None,
    typer.Option(
        "--resubscribe-on-email-change/--no-resubscribe-on-email-change",
        help="Whether an unsubscribed profile is subscribed when it gets another address.",
    ),
]
RequiresFields = Annotated[
    bool | None,
    typer.Option(
        "--export-requires-fields/--no-export-requires-fields",
        help="Whether an export has to say which fields it wants.",
    ),
]
PhoneRegion = Annotated[
    str | None,
    typer.Option("--default-phone-region", help="Country of phone numbers without a +, two letters; at first US."),
]
Disabled = Annotated[
    bool | None,
    typer.Option("--disabled/--enabled", help="Whether its keys are refused; what was accepted is applied."),
]
InCompany = Annotated[
    str | None, typer.Option("--company", help="Company whose limits it shares; an empty text = none any more.")
]
Legacy = Annotated[
    bool | None,
    typer.Option(
        "--legacy-api-key-auth/--no-legacy-api-key-auth",
        help="Whether requests without a header may carry their key as api_key in the body or the query string.",
    ),
]


def _given(**flags: Any) -> dict[str, Any]:
    """The flags that were given; None = not given."""
    return {name: value for name, value in flags.items() if value is not None}


def _columns(database: Database, **flags: Any) -> dict[str, Any]:
    """Columns of a workspace for the flags that were given. Exits when one is wrong."""
    values = _given(**flags)
    if "plan" in values and values["plan"] not in PLANS:
        raise fail(f"Unknown plan. Plans: {', '.join(PLANS)}.")
    if "company" in values:
        values["company_id"] = _company_id(database, values.pop("company"))
    return values


def _options(requires_fields: bool | None, phone_region: str | None) -> dict[str, Any]:
    """What changes in the column `options`. Exits when a flag is wrong."""
    values: dict[str, Any] = {}
    if requires_fields is not None:
        values[REQUIRES_FIELDS] = requires_fields
    if phone_region is not None:
        region = addresses.region(phone_region)
        if region is None:
            raise fail("A phone region is a two-letter country code, such as US or DE.")
        values[addresses.REGION_OPTION] = region
    return values


def change_settings(database: Database, workspace_id: int, values: dict[str, object]) -> None:
    """Queue new apply settings: they take effect behind everything accepted before, and before everything after."""
    change = settings_change(values)
    with database.write(database.inbox) as connection:
        inbox.append(connection, workspace_id, 0, [Entry(change.kind, change.codec, change.body)], now_us())


@app.command("create")
def create(
    name: str,
    plan: Plan = DEFAULT_PLAN,
    hourly: Hourly = None,
    burst: Burst = None,
    burst_window: Window = None,
    alias_autocreate_on_purchase: Autocreate = None,
    nested_null_deletes: NullDeletes = None,
    array_max_default: ArrayMax = None,
    resubscribe_on_email_change: Resubscribe = None,
    export_requires_fields: RequiresFields = None,
    default_phone_region: PhoneRegion = None,
    disabled: Disabled = None,
    legacy_api_key_auth: Legacy = None,
    company: InCompany = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Make a workspace. Limits that are not given come from the plan."""
    options = _options(export_requires_fields, default_phone_region)
    applied = _given(
        alias_autocreate_on_purchase=alias_autocreate_on_purchase,
        nested_null_deletes=nested_null_deletes,
        array_max=array_max_default,
        resubscribe_on_email_change=resubscribe_on_email_change,
    )
    with opened(settings_for(data_dir)) as database:
        columns = _columns(
            database,
            plan=plan or DEFAULT_PLAN,
            hourly_limit=hourly,
            burst_limit=burst,
            burst_window_seconds=burst_window,
            disabled=disabled,
            legacy_api_key_auth=legacy_api_key_auth,
            company=company,
        )
        try:
            made = workspaces.create(database, name, now_us=now_us(), options=options, **columns)
        except workspaces.NameTakenError:
            raise fail("A workspace of this name exists.") from None
        if applied:
            change_settings(database, workspaces.number(made), applied)
    out.print(f"workspace {name} created", highlight=False)


@app.command("list")
def list_workspaces(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """All workspaces with their plans and limits."""
    table = Table("name", "plan", "hourly", "burst", "window (s)", "")
    with opened(settings_for(data_dir)) as database:
        for workspace in workspaces.listed(database):
            plan = PLANS[workspace.plan]
            table.add_row(
                workspace.name,
                workspace.plan,
                str(workspace.hourly_limit or plan.hourly_limit or "-"),
                str(workspace.burst_limit or plan.burst_limit),
                str(workspace.burst_window_seconds or plan.burst_window_seconds),
                "disabled" if workspace.disabled else "",
            )
    out.print(table)


@app.command("set")
def set_workspace(
    name: str,
    plan: Plan = None,
    hourly: Hourly = None,
    burst: Burst = None,
    burst_window: Window = None,
    alias_autocreate_on_purchase: Autocreate = None,
    nested_null_deletes: NullDeletes = None,
    array_max_default: ArrayMax = None,
    resubscribe_on_email_change: Resubscribe = None,
    export_requires_fields: RequiresFields = None,
    default_phone_region: PhoneRegion = None,
    disabled: Disabled = None,
    legacy_api_key_auth: Legacy = None,
    company: InCompany = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Change a workspace. Running processes follow within seconds (ONEFOLD_KEY_CACHE_SECONDS, 4 by default)."""
    options = _options(export_requires_fields, default_phone_region)
    applied = _given(
        alias_autocreate_on_purchase=alias_autocreate_on_purchase,
        nested_null_deletes=nested_null_deletes,
        array_max=array_max_default,
        resubscribe_on_email_change=resubscribe_on_email_change,
    )
    with opened(settings_for(data_dir)) as database:
        columns = _columns(
            database,
            plan=plan,
            hourly_limit=hourly,
            burst_limit=burst,
            burst_window_seconds=burst_window,
            disabled=disabled,
            legacy_api_key_auth=legacy_api_key_auth,
            company=company,
        )
        try:
            if options:
                columns["options"] = workspaces.get(database, name).options | options
            found = workspaces.update(database, name, columns)
        except workspaces.UnknownNameError:
            raise fail("No workspace has this name: see `onefold workspace list`.") from None
        if applied:
            change_settings(database, workspaces.number(found), applied)
    out.print(f"workspace {name} changed", highlight=False)


def _company_id(database: Database, name: str) -> int | None:
    if not name:
        return None
    try:
        return companies.get(database, name).id
    except workspaces.UnknownNameError:
        raise fail("No company has this name: see `onefold company list`.") from None
